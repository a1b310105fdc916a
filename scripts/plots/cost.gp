# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
load dir."/style.gp"
set style data histograms
set style fill solid 0.9 border -1
set yrange [0:*]
set ylabel "ns for one choice"
set title "The steering program, 8 workers"
plot data using 2:xtic(1) title "8000/s", "" using 3 title "8000/s, asleep", "" using 4 title "800/s", \
     "" using 5 title "800/s, asleep"
