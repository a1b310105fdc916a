# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# style.gp - what all plots have in common; name is the path without its end
set terminal svg size 720,360 font "sans,11" background "#ffffff"
set termoption noenhanced
set output name.".svg"
set grid ytics lc rgb "#dddddd"
set border 3 lc rgb "#888888"
set tics nomirror
set key outside right top
set linetype 1 lc rgb "#1b6ca8" lw 2
set linetype 2 lc rgb "#d1495b" lw 2
set linetype 3 lc rgb "#66a182" lw 2
set linetype 4 lc rgb "#edae49" lw 2
data = name.".dat"
