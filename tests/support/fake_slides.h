// SPDX-License-Identifier: Apache-2.0
// Slides in memory, read without OpenSlide and without processes; some of them break when told to.
#pragma once

#include <detente/core/error.h>
#include <detente/slides/area_mean.h>
#include <detente/slides/sample_slide.h>
#include <detente/slides/slide_reader.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace detente::test {

class FakeSlides final : public slides::SlideReader {
 public:
  struct Slide {
    slides::SlideInfo info;
    std::vector<slides::Picture> levels;
  };

  // Level l is half of level l - 1.
  void add(const std::string& file, slides::Picture picture, int levels, double mpp) {
    Slide slide;
    slide.info.vendor = "fake";
    slide.info.mpp_x = slide.info.mpp_y = mpp;
    const auto width = static_cast<double>(picture.width);
    for (int l = 0; l < levels; ++l) {
      if (l > 0) picture = slides::half_of(picture);
      slide.info.levels.push_back(
          {picture.width, picture.height, width / static_cast<double>(picture.width)});
      slide.levels.push_back(picture);
    }
    slides_[file] = std::move(slide);
  }
  Slide& slide(const std::string& file) { return slides_.at(file); }
  void break_now(const std::string& file) { broken_.insert(file); }

  slides::SlideInfo info(const std::string& file) override {
    if (broken_.contains(file)) fail(ErrorCode::kData, "'{}' is broken.", file);
    return slides_.at(file).info;
  }
  Ticket ask(const std::string& file, const slides::Region& region) override {
    asked_[++last_] = {file, region};
    return last_;
  }
  slides::Picture take(Ticket ticket) override {
    const auto [file, region] = asked_.at(ticket);
    asked_.erase(ticket);
    if (broken_.contains(file)) fail(ErrorCode::kData, "'{}' is broken.", file);
    ++statistics_.pictures;
    return cut(slides_.at(file), region);
  }
  void drop(Ticket ticket) override { asked_.erase(ticket); }
  std::map<std::string, std::string> bad() const override { return {}; }
  slides::ReaderStatistics statistics() const override { return statistics_; }
  // On their way.
  std::size_t waiting() const { return asked_.size(); }

 private:
  static slides::Picture cut(const Slide& slide, const slides::Region& region) {
    const auto& level = slide.levels.at(static_cast<std::size_t>(region.level));
    const double down = slide.info.levels[static_cast<std::size_t>(region.level)].downsample;
    const auto left = static_cast<std::int64_t>(static_cast<double>(region.x) / down);
    const auto top = static_cast<std::int64_t>(static_cast<double>(region.y) / down);
    slides::Picture out{region.out_width, region.out_height, {}};
    out.values.resize(static_cast<std::size_t>(3 * out.width * out.height));
    slides::AreaMean mean(
        region.width, region.height, region.out_width, region.out_height, out.values.data());
    std::vector<std::uint8_t> line(static_cast<std::size_t>(3 * region.width));
    for (std::int64_t y = 0; y < region.height; ++y) {
      for (std::int64_t x = 0; x < region.width; ++x) {
        const bool inside =
            left + x >= 0 && left + x < level.width && top + y >= 0 && top + y < level.height;
        for (std::int64_t c = 0; c < 3; ++c) {
          line[static_cast<std::size_t>(3 * x + c)] =
              inside ? level.values[static_cast<std::size_t>(
                           3 * ((top + y) * level.width + left + x) + c)]
                     : 255;
        }
      }
      mean.begin_strip(1);
      mean.add(0, 0, line);
      mean.end_strip();
    }
    return out;
  }

  std::map<std::string, Slide> slides_;
  std::set<std::string> broken_;
  std::map<Ticket, std::pair<std::string, slides::Region>> asked_;
  Ticket last_ = 0;
  slides::ReaderStatistics statistics_;
};

// White with a coloured rectangle.
inline slides::Picture glass_with(std::int64_t width,
                                  std::int64_t height,
                                  std::int64_t x,
                                  std::int64_t y,
                                  std::int64_t w,
                                  std::int64_t h,
                                  std::uint8_t green = 40) {
  slides::Picture picture{width, height, {}};
  picture.values.assign(static_cast<std::size_t>(3 * width * height), 255);
  for (std::int64_t row = y; row < y + h; ++row) {
    for (std::int64_t column = x; column < x + w; ++column) {
      const auto at = static_cast<std::size_t>(3 * (row * width + column));
      picture.values[at] = 200;
      picture.values[at + 1] = green;
      picture.values[at + 2] = 160;
    }
  }
  return picture;
}

}  // namespace detente::test
