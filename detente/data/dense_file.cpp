// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>
#include <detente/core/whole_number.h>
#include <detente/data/dense_file.h>
#include <detente/data/set_hint.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <system_error>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDenseMagic = "DNS1";
constexpr std::size_t kHeader = 20;
constexpr std::size_t kLongest = 32768;
constexpr std::uint8_t kNoLabel = 255;
constexpr float kNormalUnit = 127;
constexpr float kMillimetres = 1000;
constexpr double kLargestClass = 32767;

std::size_t number_at(std::string_view bytes, std::size_t at) {
  std::size_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8U | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

struct ContainerHeader {
  std::size_t count = 0;
  DenseShape shape;
  bool geometry = false;  // depth and normals
};

ContainerHeader container_header(std::string_view bytes, const std::string& source) {
  DETENTE_CHECK(
      bytes.size() >= kHeader && bytes.starts_with(kDenseMagic),
      ErrorCode::kData,
      "[data::read_dense] '{}' is no container of images and maps ({} bytes, no DNS1 at its "
      "start); expected one, or a folder with image/0.npy and on (docs/data.md).",
      source,
      bytes.size());
  ContainerHeader header;
  header.count = number_at(bytes, 4);
  header.shape = {number_at(bytes, 16), number_at(bytes, 8), number_at(bytes, 12)};
  const DenseShape& shape = header.shape;
  const bool sensible = header.count > 0 && shape.height > 0 && shape.width > 0 &&
                        shape.height <= kLongest && shape.width <= kLongest &&
                        (shape.channels == 1 || shape.channels == 3);
  DETENTE_CHECK(sensible,
                ErrorCode::kData,
                "[data::read_dense] '{}' says that it holds {} images of {} x {} pixels and {} "
                "channels; expected at least one, sides from 1 to {} and 1 or 3 channels.",
                source,
                header.count,
                shape.height,
                shape.width,
                shape.channels,
                kLongest);
  // At most 2^32 times 2^30 pixels: no product here overflows.
  const std::size_t pixels = header.count * shape.pixels();
  const std::size_t body = bytes.size() - kHeader;
  const bool fits = pixels <= body;
  const std::size_t plain = fits ? pixels * (shape.channels + 1) : 0;
  header.geometry = fits && body == plain + 5 * pixels;
  DETENTE_CHECK(
      fits && (body == plain || header.geometry),
      ErrorCode::kData,
      "[data::read_dense] '{}' holds {} bytes after its header; {} images of {} x {} x {} "
      "with labels need {}, with depth and normals too {}. It is damaged or was cut short.",
      source,
      body,
      header.count,
      shape.height,
      shape.width,
      shape.channels,
      fmt::format("{:.0f}", static_cast<double>(pixels) * static_cast<double>(shape.channels + 1)),
      fmt::format("{:.0f}", static_cast<double>(pixels) * static_cast<double>(shape.channels + 6)));
  return header;
}

void check_memory(std::size_t count,
                  const DenseShape& shape,
                  const DenseWish& wish,
                  const std::string& source) {
  const double numbers = static_cast<double>(shape.channels) + (wish.depth ? 1 : 0) +
                         (wish.normal ? 3 : 0) + (wish.label ? 0.5 : 0);
  const double bytes =
      4 * numbers * static_cast<double>(count) * static_cast<double>(shape.pixels());
  DETENTE_CHECK(
      bytes <= static_cast<double>(wish.memory),
      ErrorCode::kData,
      "[data::read_dense] the {} examples of '{}' with their maps take {:.0f} MiB in memory; "
      "data.memory allows {}. Take fewer (data.max_rows) or allow more.",
      count,
      source,
      std::ceil(std::ldexp(bytes, -20)),
      wish.memory >> 20U);
}

// channels last → planes, appended.
template <class In>
void append_planes(const In* values,
                   std::size_t channels,
                   std::size_t pixels,
                   float unit,
                   std::vector<float>& out) {
  const std::size_t begin = out.size();
  out.resize(begin + channels * pixels);
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) {
      out[begin + c * pixels + p] = static_cast<float>(values[p * channels + c]) / unit;
    }
  }
}

// Rounding to 1/127 has made them a little longer or shorter.
void to_unit_length(std::span<float> planes, std::size_t pixels) {
  for (std::size_t p = 0; p < pixels; ++p) {
    float* at = planes.data() + p;
    const float length =
        std::sqrt(at[0] * at[0] + at[pixels] * at[pixels] + at[2 * pixels] * at[2 * pixels]);
    if (length == 0) continue;
    for (std::size_t c = 0; c < 3; ++c) at[c * pixels] /= length;
  }
}

DenseMaps container_maps(std::string_view bytes,
                         const std::string& source,
                         std::span<const std::size_t> examples,
                         const DenseWish& wish) {
  const ContainerHeader header = container_header(bytes, source);
  for (const bool wanted : {wish.depth, wish.normal}) {
    DETENTE_CHECK(!wanted || header.geometry,
                  ErrorCode::kData,
                  "[data::read_dense] '{}' holds images and labels only, but a task wants depth or "
                  "normals; expected a file with them.",
                  source);
  }
  check_memory(examples.size(), header.shape, wish, source);
  const std::size_t pixels = header.shape.pixels();
  const std::size_t all = header.count * pixels;
  const std::size_t channels = header.shape.channels;
  const auto* images = reinterpret_cast<const std::uint8_t*>(bytes.data()) + kHeader;
  const std::uint8_t* labels = images + all * channels;
  const std::uint8_t* depths = labels + all;
  const auto* normals = reinterpret_cast<const std::int8_t*>(depths + 2 * all);
  DenseMaps maps;
  maps.count = examples.size();
  maps.shape = header.shape;
  for (const std::size_t example : examples) {
    DETENTE_DCHECK(example < header.count);
    maps.names.push_back(std::to_string(example));
    append_planes(images + example * pixels * channels, channels, pixels, 1, maps.image);
    for (std::size_t p = example * pixels; p < (example + 1) * pixels; ++p) {
      if (wish.label) {
        maps.label.push_back(labels[p] == kNoLabel ? DenseMaps::kNoClass : labels[p]);
      }
      if (wish.depth) {
        const auto value =
            static_cast<unsigned>(depths[2 * p]) | static_cast<unsigned>(depths[2 * p + 1]) << 8U;
        maps.depth.push_back(static_cast<float>(value) / kMillimetres);
      }
    }
    if (wish.normal) {
      append_planes(normals + example * pixels * 3, 3, pixels, kNormalUnit, maps.normal);
      to_unit_length(std::span(maps.normal).last(3 * pixels), pixels);
    }
  }
  return maps;
}

fs::path map_file(const fs::path& folder, const std::string& kind, std::size_t example) {
  return folder / kind / (std::to_string(example) + ".npy");
}

std::string sides_text(const std::vector<std::size_t>& shape) {
  std::vector<std::string> sides;
  for (const std::size_t side : shape) sides.push_back(std::to_string(side));
  return fmt::format("{}", fmt::join(sides, " x "));
}

// [H, W] with one channel may lack the last side; `channels` 0: 1 or 3.
NpyArray read_map(const fs::path& file,
                  std::size_t channels,
                  const std::optional<DenseShape>& shape) {
  NpyArray array = read_npy(file);
  std::vector<std::size_t>& sides = array.shape;
  if (sides.size() == 2) sides.push_back(1);
  const bool fits = sides.size() == 3 && sides[0] > 0 && sides[1] > 0 && sides[0] <= kLongest &&
                    sides[1] <= kLongest &&
                    (channels == 0 ? sides[2] == 1 || sides[2] == 3 : sides[2] == channels);
  DETENTE_CHECK(fits,
                ErrorCode::kData,
                "[data::read_dense] '{}' has the shape {}; expected height x width x {}.",
                file.string(),
                sides_text(sides),
                channels == 0 ? "1 or 3" : std::to_string(channels));
  DETENTE_CHECK(
      !shape || (sides[0] == shape->height && sides[1] == shape->width &&
                 (channels != 0 || sides[2] == shape->channels)),
      ErrorCode::kData,
      "[data::read_dense] '{}' has the shape {}, the first image {} x {} x {}; expected one "
      "size for all.",
      file.string(),
      sides_text(sides),
      shape->height,
      shape->width,
      shape->channels);
  const auto bad = std::find_if(array.values.begin(), array.values.end(), [](double value) {
    return !std::isfinite(static_cast<float>(value));
  });
  DETENTE_CHECK(
      bad == array.values.end(),
      ErrorCode::kData,
      "[data::read_dense] '{}' holds {} at number {} (from 0); expected finite numbers. What "
      "is missing is -1 in labels and 0 in depths and normals.",
      file.string(),
      *bad,
      bad - array.values.begin());
  return array;
}

DenseMaps folder_maps(const fs::path& folder,
                      std::span<const std::size_t> examples,
                      const DenseWish& wish) {
  DenseMaps maps;
  maps.count = examples.size();
  std::optional<DenseShape> shape;
  for (const std::size_t example : examples) {
    const fs::path image_file = map_file(folder, "image", example);
    const NpyArray image = read_map(image_file, 0, shape);
    if (!shape) {
      shape = DenseShape{image.shape[2], image.shape[0], image.shape[1]};
      check_memory(examples.size(), *shape, wish, folder.string());
    }
    const std::size_t pixels = shape->pixels();
    maps.names.push_back(std::to_string(example));
    append_planes(image.values.data(), shape->channels, pixels, 1, maps.image);
    if (wish.label) {
      const fs::path file = map_file(folder, wish.label_folder, example);
      for (const double value : read_map(file, 1, shape).values) {
        DETENTE_CHECK(value >= -1 && value <= kLargestClass && value == std::floor(value),
                      ErrorCode::kData,
                      "[data::read_dense] '{}' holds {}, which is no class; expected whole numbers "
                      "from 0 on, or -1 for none.",
                      file.string(),
                      value);
        maps.label.push_back(static_cast<std::int16_t>(value));
      }
    }
    if (wish.depth) {
      const fs::path file = map_file(folder, "depth", example);
      for (const double value : read_map(file, 1, shape).values) {
        DETENTE_CHECK(
            value >= 0,
            ErrorCode::kData,
            "[data::read_dense] '{}' holds {}, which is no depth; expected numbers above 0, "
            "or 0 for none.",
            file.string(),
            value);
        maps.depth.push_back(static_cast<float>(value));
      }
    }
    if (wish.normal) {
      const NpyArray normal = read_map(map_file(folder, "normal", example), 3, shape);
      append_planes(normal.values.data(), 3, pixels, 1, maps.normal);
    }
  }
  maps.shape = shape.value_or(DenseShape{});
  return maps;
}

}  // namespace

std::size_t count_dense(const fs::path& path, bool is_folder) {
  std::error_code error;
  DETENTE_CHECK(
      is_folder || fs::exists(path, error),
      ErrorCode::kIo,
      "[data::read_dense] there is nothing at '{}'; expected a folder with image/0.npy and "
      "on, or a container (docs/data.md).{}",
      path.string(),
      set_hint(path));
  if (!is_folder) return container_header(read_file(path), path.string()).count;
  const fs::path images = path / "image";
  fs::directory_iterator entries(images, error);
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[data::read_dense] cannot read the folder '{}' ({}); expected image/0.npy and on "
                "in '{}'.{}",
                images.string(),
                error.message(),
                path.string(),
                set_hint(path));
  std::size_t count = 0;
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".npy") ++count;
  }
  DETENTE_CHECK(count > 0,
                ErrorCode::kData,
                "[data::read_dense] the folder '{}' holds no .npy file; expected 0.npy and on.",
                images.string());
  return count;
}

DenseMaps read_dense(const fs::path& path,
                     std::span<const std::size_t> examples,
                     const DenseWish& wish) {
  std::error_code error;
  if (fs::is_directory(path, error)) return folder_maps(path, examples, wish);
  return container_maps(read_file(path), path.string(), examples, wish);
}

DenseMaps parse_dense(std::string_view bytes, const std::string& source) {
  const ContainerHeader header = container_header(bytes, source);
  std::vector<std::size_t> examples(header.count);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i] = i;
  DenseWish wish;
  wish.depth = wish.normal = header.geometry;
  return container_maps(bytes, source, examples, wish);
}

}  // namespace detente::data
