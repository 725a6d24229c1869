// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/image_fit.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::data {

void ImageFit::count(std::span<const std::uint8_t> values, Counts& counts) {
  for (std::size_t i = 0; i < values.size(); ++i) ++counts[i % counts.size()][values[i]];
}

void ImageFit::scale(const Counts& counts,
                     const std::function<void(std::size_t channel, double value)>& constant) {
  means.clear();
  deviations.clear();
  for (std::size_t c = 0; c < counts.size(); ++c) {
    double total = 0;
    double mean = 0;
    double variance = 0;
    for (const std::uint64_t n : counts[c]) total += static_cast<double>(n);
    for (std::size_t v = 0; v < 256; ++v) {
      mean += static_cast<double>(v) * static_cast<double>(counts[c][v]) / total;
    }
    for (std::size_t v = 0; v < 256; ++v) {
      const double distance = static_cast<double>(v) - mean;
      variance += distance * distance * static_cast<double>(counts[c][v]) / total;
    }
    // A channel of one value: rounding may leave a trace of a deviation.
    const bool one = std::count_if(counts[c].begin(), counts[c].end(), [](std::uint64_t n) {
                       return n > 0;
                     }) < 2;
    if (one) constant(c, std::round(mean));
    means.push_back(mean);
    deviations.push_back(one ? 1.0 : std::sqrt(variance));
  }
}

void ImageFit::save(const std::filesystem::path& file, const char* format) const {
  const Json json{{"format", format},
                  {"height", shape.height},
                  {"width", shape.width},
                  {"channels", shape.channels},
                  {"means", means},
                  {"deviations", deviations},
                  {"classes", classes.to_json()}};
  write_own_file(file, json.dump(1) + "\n");
}

ImageFit ImageFit::load(const std::filesystem::path& file, const char* format, const char* where) {
  const std::string path = file.string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  const auto whole = [&](const char* key, double most) -> std::size_t {
    if (!json.contains(key) || !json[key].is_number_unsigned()) return 0;
    const auto value = json[key].get<std::uint64_t>();
    return static_cast<double>(value) <= most ? static_cast<std::size_t>(value) : 0;
  };
  ImageFit fit;
  bool good =
      json.is_object() && json.value("format", Json()) == format && json.contains("classes");
  if (good) {
    fit.shape = {whole("height", kLongestSide), whole("width", kLongestSide), whole("channels", 3)};
    const auto numbers = [&](const char* key) {
      std::vector<double> list;
      if (!json.contains(key) || !json[key].is_array()) return list;
      for (const Json& entry : json[key]) {
        list.push_back(entry.is_number() ? entry.get<double>() : std::nan(""));
      }
      return list;
    };
    fit.means = numbers("means");
    fit.deviations = numbers("deviations");
    const auto fits = [&](const std::vector<double>& list, double least) {
      return list.size() == fit.shape.channels &&
             std::all_of(list.begin(), list.end(), [least](double value) {
               return value >= least && value <= 255;
             });
    };
    good = fit.shape.size() > 0 && fit.shape.channels != 2 && fits(fit.means, 0) &&
           fits(fit.deviations, 1e-12);
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[{}] '{}' is damaged or of another version; expected {} with size, "
                "channels, means, deviations and classes.",
                where,
                path,
                format);
  fit.classes = ClassTable::from_json(json["classes"], path);
  return fit;
}

}  // namespace detente::data
