// SPDX-License-Identifier: Apache-2.0
// What every page carries: its style sheet and its script.
#pragma once

#include <string>

namespace detente::report::internal {

// Light, and dark where the reader's system asks for it. Pictures are drawn in light colours; the
// dark theme replaces each colour that the pictures use by its like.
std::string page_style();

// Reads values out of figures, under the pointer and by keyboard. A figure that can be read is
//   <figure data-read><div class="plot" tabindex="0">SVG</div>
//     <script type="application/json">DATA</script></figure>
// with DATA, all places in the picture's units,
//   {"k": "lines", "r": [x, y, width, height], "x": [min, max], "l": what x is,
//    "s": [{"n": name, "c": colour, "p": [[x, y] or [x, y, low, high], ...]}, ...]}
//   {"k": "heat", "r": ..., "rows": [...], "cols": [...], "v": [value or null, row by row],
//    "rt": what a row is, "ct": what a column is, "vt": what a value is}
//   {"k": "marks", "m": [[x, y, name, values in words], ...]}
// The page has one element with the id "live" in which screen readers hear what the keys read.
const char* page_script();

}  // namespace detente::report::internal
