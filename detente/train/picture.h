// SPDX-License-Identifier: Apache-2.0
// Examples as pictures of a page.
#pragma once

#include <detente/data/image.h>
#include <detente/report/pixels.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace detente::train {

// In colour; of other numbers of channels than one and three the first channel. Nothing of no
// pixels.
inline report::Pixels pixels_of(const data::Image& image) {
  data::Image colored = image;
  if (image.shape.channels != 3) {
    colored = {{image.shape.height, image.shape.width, 1}, {}};
    for (std::size_t i = 0; i < image.values.size();
         i += std::max<std::size_t>(1, image.shape.channels)) {
      colored.values.push_back(image.values[i]);
    }
    if (!image.values.empty()) colored = data::with_channels(colored, 3);
  }
  return {colored.shape.height, colored.shape.width, std::move(colored.values)};
}

}  // namespace detente::train
