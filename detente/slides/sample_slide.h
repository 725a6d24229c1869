// SPDX-License-Identifier: Apache-2.0
// A slide made of a picture: a tiled TIFF with smaller levels, as OpenSlide's generic-tiff and, by its
// description, aperio read it. To see whether slides can be read here, without one at hand, and for tests.
#pragma once

#include <detente/slides/slide.h>

#include <string>

namespace detente::slides {

struct SampleOptions {
  int levels =
      1;  // each half of the one before, rounded up; pixels are means of 2 x 2, halves upwards
  std::int64_t tile = 32;  // a multiple of 32: libtiff refuses plain tiles that are no whole KiB
  double microns_per_pixel = 0;  // as resolution tags; 0: none
  std::string description =
      {};  // ImageDescription; "Aperio ...|MPP = 0.25|AppMag = 40" makes it an SVS
};

// The file's bytes: red, green and blue, not compressed. Throws kInvalidArgument for sizes that do not fit.
std::string sample_slide(const Picture& picture, const SampleOptions& options = {});

// width x height pixels that differ from their neighbours and from row to row.
Picture sample_picture(std::int64_t width, std::int64_t height);

// The next level, as sample_slide() makes it.
Picture half_of(const Picture& picture);

}  // namespace detente::slides
