// SPDX-License-Identifier: Apache-2.0
// Clips: pictures one after the other, from three forms.
//
//   folder  JPEG and PNG files in the order of their names, numbers in them as numbers (2 before 10)
//   .npy    [t, h, w] grey or [t, h, w, c] with 1 or 3 channels; whole numbers from 0 to 255
//   file    .mp4, .webm and other videos, through FFmpeg's libraries (data/video_file.h)
#pragma once

#include <detente/data/image.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace detente::data {

// Which of a clip's pictures are wanted.
struct ClipWish {
  std::size_t stride = 1;  // the first, then every stride-th
  double fps = 0;          // files alone, in place of stride: so many a second; 0: stride
  // Of these, so many from the middle; fewer where there are not as many. 0: all.
  std::size_t middle = 0;
  std::size_t most = SIZE_MAX;  // bytes that they may take after `form`
  // Brings a picture to the form it is kept in; also names the clip in its errors.
  std::function<Image(Image)> form;
};

// At least one picture, each as `form` makes it. Throws kIo, kData, naming the file: what read_image,
// parse_npy and read_video throw, a folder without pictures, numbers that are no bytes, more than
// `most`; `fps` for a form without a rate.
std::vector<Image> read_clip(const std::filesystem::path& path, const ClipWish& wish);

// Whether a clip can be there: a folder, or by the ending.
bool has_clip_name(const std::filesystem::path& path);

// "a2" before "a10".
bool natural_less(const std::string& a, const std::string& b);

// The places of `count` pictures that a wish (without fps) means, ascending.
std::vector<std::size_t> wanted_frames(std::size_t count, const ClipWish& wish);

}  // namespace detente::data
