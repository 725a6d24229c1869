// SPDX-License-Identifier: Apache-2.0
// Lines of equal height of a function given on a grid.
#pragma once

#include <detente/core/matrix.h>
#include <detente/report/canvas.h>

#include <vector>

namespace detente::report {

// `heights`(i, j) is the value at x = x_min + j·Δx, y = y_min + i·Δy, the grid spanning `domain`
// (x, y = its lowest corner, width and height ≥ 0). Marching squares with linear interpolation,
// saddles split by their centre; closed lines repeat their first point. Cells with a value that is
// not finite are left out. Cost: O(rows · cols).
std::vector<std::vector<Point>> contour_lines(MatrixView heights, const Rect& domain, double level);

}  // namespace detente::report
