// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/array_file.h>
#include <detente/data/clip.h>
#include <detente/data/image_file.h>
#include <detente/data/video_file.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_no_fps(const ClipWish& wish, const fs::path& path) {
  DETENTE_CHECK(wish.fps == 0,
                ErrorCode::kInvalidArgument,
                "[data::read_clip] '{}' does not say how many pictures a second has, which "
                "data.fps needs; expected a video file. Use data.stride.",
                path.string());
}

// Keeps what the wish allows.
class ClipMaker {
 public:
  ClipMaker(const ClipWish& wish, const fs::path& path) : wish_(wish), path_(path) {}

  void add(Image image) {
    frames_.push_back(wish_.form ? wish_.form(std::move(image)) : std::move(image));
    bytes_ += frames_.back().values.size();
    DETENTE_CHECK(bytes_ <= wish_.most,
                  ErrorCode::kData,
                  "[data::read_clip] the pictures of '{}' take more than {} MiB, which is what "
                  "data.memory allows. Choose a larger data.stride, a smaller data.size, or allow "
                  "more.",
                  path_.string(),
                  wish_.most >> 20U);
  }
  std::vector<Image> done() { return std::move(frames_); }

 private:
  const ClipWish& wish_;
  const fs::path& path_;
  std::vector<Image> frames_;
  std::size_t bytes_ = 0;
};

std::vector<Image> read_folder(const fs::path& path, const ClipWish& wish) {
  check_no_fps(wish, path);
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.front() != '.' && has_image_name(at->path())) files.push_back(at->path());
  }
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[data::read_clip] cannot read the folder '{}': {}.",
                path.string(),
                error.message());
  DETENTE_CHECK(!files.empty(),
                ErrorCode::kData,
                "[data::read_clip] the folder '{}' holds no picture; expected .jpg, .jpeg or .png "
                "files, the pictures of one clip in the order of their names.",
                path.string());
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    return natural_less(a.filename().string(), b.filename().string());
  });
  ClipMaker clip(wish, path);
  for (const std::size_t i : wanted_frames(files.size(), wish)) clip.add(read_image(files[i]));
  return clip.done();
}

std::vector<Image> read_array(const fs::path& path, const ClipWish& wish) {
  check_no_fps(wish, path);
  const std::string bytes = read_file(path);
  const NpyContent content = parse_npy(bytes, path.string());
  const auto& shape = content.shape;
  const std::size_t channels = shape.size() == 4 ? shape[3] : 1;
  const bool fits = (shape.size() == 3 || shape.size() == 4) && (channels == 1 || channels == 3) &&
                    content.count() > 0;
  const ArrayEntries entries(content);
  DETENTE_CHECK(fits && !entries.is_text(),
                ErrorCode::kData,
                "[data::read_clip] '{}' has the shape {}; expected numbers [t, h, w] or [t, h, w, "
                "c] with 1 or 3 channels.",
                path.string(),
                npy_shape_text(shape));
  const ImageShape one{shape[1], shape[2], channels};
  ClipMaker clip(wish, path);
  for (const std::size_t frame : wanted_frames(shape[0], wish)) {
    Image image{one, std::vector<std::uint8_t>(one.size())};
    for (std::size_t i = 0; i < one.size(); ++i) {
      const double value = entries.number(frame * one.size() + i);
      DETENTE_CHECK(value >= 0 && value <= 255 && value == std::floor(value),
                    ErrorCode::kData,
                    "[data::read_clip] '{}' holds {} in picture {} (from 0); expected whole "
                    "numbers from 0 to 255. Convert it with (255 * clip).astype('u1') where white "
                    "is 1.",
                    path.string(),
                    value,
                    frame);
      image.values[i] = static_cast<std::uint8_t>(value);
    }
    clip.add(std::move(image));
  }
  return clip.done();
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const auto number = [](const std::string& text, std::size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const std::size_t begin = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string left = number(a, i);
    const std::string right = number(b, j);
    if (left.size() != right.size()) return left.size() < right.size();
    if (left != right) return left < right;
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;  // 01 and 1
}

std::vector<std::size_t> wanted_frames(std::size_t count, const ClipWish& wish) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < count; i += wish.stride) places.push_back(i);
  if (wish.middle == 0 || places.size() <= wish.middle) return places;
  const auto begin =
      places.begin() + static_cast<std::ptrdiff_t>((places.size() - wish.middle) / 2);
  return {begin, begin + static_cast<std::ptrdiff_t>(wish.middle)};
}

std::vector<Image> read_clip(const fs::path& path, const ClipWish& wish) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return read_folder(path, wish);
  if (lower_ascii(path.extension().string()) == ".npy") return read_array(path, wish);
  ClipMaker clip(wish, path);
  read_video(path, wish.stride, wish.fps, [&](Image image) { clip.add(std::move(image)); });
  std::vector<Image> frames = clip.done();
  ClipWish middle;
  middle.middle = wish.middle;
  std::vector<Image> kept;
  for (const std::size_t i : wanted_frames(frames.size(), middle)) {
    kept.push_back(std::move(frames[i]));
  }
  return kept;
}

bool has_clip_name(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return true;
  return lower_ascii(path.extension().string()) == ".npy" || has_video_name(path);
}

}  // namespace detente::data
