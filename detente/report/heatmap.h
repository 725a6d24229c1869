// SPDX-License-Identifier: Apache-2.0
// Heat maps: a table of numbers as coloured cells, with labels and a bar that explains the colours.
#pragma once

#include <detente/report/canvas.h>

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace detente::report {

// kSequential: pale to dark blue, for values that begin somewhere (counts, shares).
// kDiverging: orange below zero, neutral at zero, blue above; the scale is symmetric about zero.
// kHarm: the orange half of kDiverging, for shares of what is bad.
// Orange and blue stay apart for readers with any kind of colour vision.
enum class HeatScale { kSequential, kDiverging, kHarm };

struct HeatMap {
  std::vector<std::string> rows;     // labels, from the top
  std::vector<std::string> columns;  // labels, from the left
  std::vector<double> values;        // row by row; what is not finite is drawn hatched
  HeatScale scale = HeatScale::kSequential;
  // Where the colours end; values outside have the colour of the end. Without them: the ends of
  // the values. A diverging scale reaches as far below zero as above, whichever end is further.
  std::optional<double> low;
  std::optional<double> high;
  // A diverging scale reaches at least this far from zero, so that what is nearly nothing is pale.
  double least_reach = 0;
  // What the cells are coloured by, row by row, where that is not the values themselves: of a value that is
  // not told apart from zero, 0. Not finite: as the value.
  std::vector<double> shades;

  std::string row_title;     // what a row is: "pair", "true class"; not drawn, told with the values
  std::string column_title;  // what a column is; drawn below
  std::string value_title;   // what a cell is: "mean cosine"; beside the bar

  // In the cells, where they fit: `texts` (row by row), or the values with so many decimals.
  bool show_text = true;
  int decimals = 2;
  std::vector<std::string> texts;
  // What is read in a cell; without them the texts, or the values.
  std::vector<std::string> words;

  // Columns that follow each other, such as times: cells may be flat, and of the labels those are
  // drawn that have room, level. Otherwise cells are square and all labels drawn, slanted where
  // they must be. `ticks` are shorter labels for drawing, one per column.
  bool ordered_columns = false;
  std::vector<std::string> ticks;

  double largest_cell = 46;  // side of a square one; of few rows they are not larger

  bool hide_diagonal = false;  // of a table of tasks by tasks

  double at(std::size_t row, std::size_t column) const {
    return values[row * columns.size() + column];
  }
  double shade(std::size_t cell) const {
    return shades.empty() || !std::isfinite(shades[cell]) ? values[cell] : shades[cell];
  }
};

// Where the cells lie and what the colours mean, for whoever reads values under the pointer.
struct HeatFrame {
  Rect plot;  // all cells; each has the same size
  double low = 0;
  double high = 1;
};

// A picture of this width; its height follows from the rows. Without rows or columns it says "no
// data". kShape when values, shades, texts or ticks are not as many as the labels ask for.
Canvas draw_heat_map(const HeatMap& map, double width = 460, HeatFrame* frame = nullptr);

// The colours come in steps, so that a page can replace each by its like for the dark theme.
inline constexpr int kHeatLevels = 32;
// Colour of level 0 (the low end) to kHeatLevels.
Color heat_color(HeatScale scale, int level, bool dark = false);
// The level of a finite value between the ends of the scale.
int heat_level(double value, double low, double high);

}  // namespace detente::report
