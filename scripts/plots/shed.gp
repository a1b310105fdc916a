# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
load dir."/style.gp"
set xlabel "s"
set ylabel "refused, %"
set y2label "mean wait, ms"
set ytics nomirror
set y2tics
set yrange [0:*]
set y2range [0:*]
set title "Half more clients than can be served: all let in, then a share refused"
plot data using 1:3 with lines axes x1y2 lt 2 title "mean wait", \
     "" using 1:2 with steps lt 1 title "refused"
