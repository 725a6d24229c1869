// SPDX-License-Identifier: Apache-2.0
// looks.json: pictures of what a run's network is taught and what it has learned, at the epoch that
// is kept: the views of an image that are to be answered alike, what the network looks at, and
// which training rows its features hold to be most like a validation row. Of bounded size (the
// kMost... below), so that a page needs neither the model nor the data. docs/run_directory.md
// explains the fields; nothing else spells their keys.
//
// Writing is strict, and so is reading: a file that is not wholly as it was written is damaged.
#pragma once

#include <detente/report/answers.h>
#include <detente/report/pixels.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::report {

inline constexpr std::size_t kViewedImages = 4;
inline constexpr std::size_t kMostViews = 10;  // of an image, further ones are left out
inline constexpr std::size_t kAttendedImages = 6;
inline constexpr std::size_t kAskedImages = 6;
inline constexpr std::size_t kNeighbours = 5;
inline constexpr std::size_t kMostLookPictures = 400000;  // bytes of all pictures' text together

// `Picture`: Pixels, or PNG in base64 ("" for none). Rows count from 1.
template <class Picture>
struct Looks {
  struct View {
    std::string name;  // "global 1"
    Picture picture;
  };
  struct Viewed {
    std::uint64_t row = 0;  // of the training rows
    Picture image;
    std::vector<View> views;
  };
  // Of validation rows: the image, and the same with what the network looks at in colour.
  struct Attended {
    std::uint64_t row = 0;
    Picture image;
    Picture attention;
    double peak = kNoNumber;  // the largest weight over the mean of all
  };
  struct Neighbour {
    std::uint64_t row = 0;      // of the training rows
    double cosine = kNoNumber;  // of the features
    std::string label;          // "" where none is known
    bool right = false;         // whether both labels are known, and one
    Picture image;
  };
  struct Asked {
    std::uint64_t row = 0;  // of the validation rows
    std::string label;
    Picture image;
    std::vector<Neighbour> nearest;  // the most similar first
  };

  std::int64_t epoch = 0;
  std::vector<Viewed> views;
  std::vector<Attended> attention;
  std::vector<Asked> asked;
  std::uint64_t searched = 0;  // training rows among which the nearest are
  std::string probe;           // whose labels these are; "" without labels

  bool empty() const { return views.empty() && attention.empty() && asked.empty(); }
};
using LookPixels = Looks<Pixels>;
using RunLooks = Looks<std::string>;

// As large as kMostLookPictures allows, at most 96 and at least 16 pixels on the longer side; where
// even these are too many, none. Names are cut as short_name does.
RunLooks look_pictures(const LookPixels& looks);

// The image with weights (rows × columns from the top) drawn over it: from dark for the smallest to
// light for the largest, smooth between the middles of the fields; dark where all are equal. Throws
// kShape for another number of weights, or none.
Pixels attention_pixels(const Pixels& image,
                        std::span<const float> weights,
                        std::size_t rows,
                        std::size_t columns);

// So many rows of `rows`, evenly chosen, ascending; all where there are fewer.
std::vector<std::size_t> evenly_chosen(std::size_t rows, std::size_t count);

// The file's text, and what it holds; nothing where it is damaged.
std::string looks_text(const RunLooks& looks);
std::optional<RunLooks> parse_looks(std::string_view text);

}  // namespace detente::report
