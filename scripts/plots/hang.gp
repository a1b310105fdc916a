# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
load dir."/style.gp"
set style data histograms
set style fill solid 0.9 border -1
set logscale y
set yrange [0.05:*]
set ylabel "latency, ms"
set title "One of four workers hangs 400 ms of every second"
plot data using 2:xtic(1) title "p50", "" using 3 title "p99", "" using 4 title "p99.9", \
     "" using 5 title "slowest"
