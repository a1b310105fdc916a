# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
load dir."/style.gp"
set xlabel "s"
set ylabel "share of new connections, %"
set yrange [0:*]
set arrow from 2, graph 0 to 2, graph 1 nohead dt 2 lc rgb "#888888"
set arrow from 4, graph 0 to 4, graph 1 nohead dt 2 lc rgb "#888888"
set label "drain" at 2, graph 0.97 offset 0.5
set label "resume" at 4, graph 0.97 offset 0.5
set title "Worker 0 is drained and comes back (ramp of 2 s)"
plot data using 1:2 with lines lw 3 title "worker 0", "" using 1:3 with lines title "1", \
     "" using 1:4 with lines title "2", "" using 1:5 with lines title "3"
