// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_block.h>
#include <detente/data/image_fit.h>

#include <algorithm>
#include <filesystem>

namespace detente::data {
namespace {

constexpr std::size_t kCifarSide = 32;
constexpr std::size_t kCifarPlane = kCifarSide * kCifarSide;
constexpr std::size_t kCifarRecord = 1 + 3 * kCifarPlane;
constexpr unsigned char kUnsignedByte = 0x08;

std::size_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

struct IdxHeader {
  std::vector<std::size_t> sizes;
  std::size_t begin = 0;  // of the values
};

// Throws where the header is none, or is of other values than bytes.
IdxHeader idx_header(std::string_view bytes, const std::string& source) {
  DETENTE_CHECK(bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0,
                ErrorCode::kData,
                "[data::read_idx] '{}' is no idx file: its first two bytes must be 0{}.",
                source,
                bytes.empty() ? ", and it is empty" : "");
  DETENTE_CHECK(byte_at(bytes, 2) == kUnsignedByte,
                ErrorCode::kData,
                "[data::read_idx] '{}' is an idx file of type 0x{:02x}; expected 0x08, bytes.",
                source,
                byte_at(bytes, 2));
  IdxHeader header;
  const std::size_t dims = byte_at(bytes, 3);
  header.begin = 4 + 4 * dims;
  DETENTE_CHECK(bytes.size() >= header.begin,
                ErrorCode::kData,
                "[data::read_idx] '{}' ends within its header; expected {} bytes of it, got {}.",
                source,
                header.begin,
                bytes.size());
  for (std::size_t d = 0; d < dims; ++d) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8U | byte_at(bytes, 4 + 4 * d + i);
    header.sizes.push_back(size);
  }
  return header;
}

// The product of the sizes; the largest number there is where it would not fit.
std::size_t values_of(const IdxHeader& header) {
  std::size_t count = 1;
  for (const std::size_t size : header.sizes) {
    if (size != 0 && count > SIZE_MAX / size) return SIZE_MAX;
    count *= size;
  }
  return count;
}

void check_idx(const IdxHeader& header, std::string_view bytes, const std::string& source) {
  DETENTE_CHECK(!header.sizes.empty() && header.sizes.front() > 0,
                ErrorCode::kData,
                "[data::read_idx] '{}' holds nothing; expected at least one entry.",
                source);
  const std::size_t expected = values_of(header);
  const std::size_t found = bytes.size() - header.begin;
  DETENTE_CHECK(expected == found,
                ErrorCode::kData,
                "[data::read_idx] '{}' says it holds {} entries, {} bytes in all, but has {} bytes "
                "after its header. It is damaged or cut short; fetch it again.",
                source,
                header.sizes.front(),
                expected,
                found);
}

}  // namespace

bool is_idx(std::string_view bytes) {
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0 || byte_at(bytes, 2) != kUnsignedByte) {
    return false;
  }
  const std::size_t begin = 4 + 4 * byte_at(bytes, 3);
  return bytes.size() >= begin && values_of(idx_header(bytes, "")) == bytes.size() - begin;
}

bool is_cifar10(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % kCifarRecord != 0) return false;
  for (std::size_t at = 0; at < bytes.size(); at += kCifarRecord) {
    if (byte_at(bytes, at) > 9) return false;
  }
  return true;
}

ImageBlock parse_idx_images(std::string_view bytes, const std::string& source) {
  const IdxHeader header = idx_header(bytes, source);
  const auto& sizes = header.sizes;
  DETENTE_CHECK(sizes.size() == 3 || sizes.size() == 4,
                ErrorCode::kData,
                "[data::read_idx] '{}' has {} dimensions; expected 3 (images, rows, columns), or 4 "
                "with the channels last.{}",
                source,
                sizes.size(),
                sizes.size() == 1 ? " It seems to hold labels: name the file of images." : "");
  check_idx(header, bytes, source);
  const std::size_t channels = sizes.size() == 4 ? sizes[3] : 1;
  DETENTE_CHECK(channels == 1 || channels == 3,
                ErrorCode::kData,
                "[data::read_idx] '{}' has images of {} channels; expected 1 or 3.",
                source,
                channels);
  DETENTE_CHECK(sizes[1] > 0 && sizes[2] > 0 &&
                    static_cast<double>(std::max(sizes[1], sizes[2])) <= kLongestSide,
                ErrorCode::kData,
                "[data::read_idx] '{}' has images of {} x {} pixels; expected sides from 1 to {}.",
                source,
                sizes[1],
                sizes[2],
                kLongestSide);
  const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data()) + header.begin;
  return {{sizes[1], sizes[2], channels}, sizes[0], {begin, begin + values_of(header)}};
}

std::vector<std::uint8_t> parse_idx_labels(std::string_view bytes, const std::string& source) {
  const IdxHeader header = idx_header(bytes, source);
  DETENTE_CHECK(header.sizes.size() == 1,
                ErrorCode::kData,
                "[data::read_idx] '{}' has {} dimensions; expected 1, labels.",
                source,
                header.sizes.size());
  check_idx(header, bytes, source);
  const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data()) + header.begin;
  return {begin, begin + header.sizes.front()};
}

LabelledBlock parse_cifar10(std::string_view bytes, const std::string& source) {
  DETENTE_CHECK(is_cifar10(bytes),
                ErrorCode::kData,
                "[data::read_cifar10] '{}' has {} bytes; expected records of {} that begin with a "
                "label from 0 to 9.",
                source,
                bytes.size(),
                kCifarRecord);
  LabelledBlock block;
  block.images.shape = {kCifarSide, kCifarSide, 3};
  block.images.count = bytes.size() / kCifarRecord;
  block.images.values.resize(block.images.count * block.images.shape.size());
  std::uint8_t* out = block.images.values.data();
  for (std::size_t i = 0; i < block.images.count; ++i) {
    const auto* record = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * kCifarRecord;
    block.labels.push_back(*record++);
    for (std::size_t pixel = 0; pixel < kCifarPlane; ++pixel) {
      for (std::size_t c = 0; c < 3; ++c) *out++ = record[c * kCifarPlane + pixel];
    }
  }
  return block;
}

std::string idx_labels_file(const std::string& images) {
  const std::filesystem::path path(images);
  std::string name = path.filename().string();
  const auto replace = [&name](std::string_view from, std::string_view to) {
    const std::size_t at = name.rfind(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
    return at != std::string::npos;
  };
  if (!replace("images", "labels")) return "";
  if (!replace("idx3", "idx1")) replace("idx4", "idx1");
  return (path.parent_path() / name).string();
}

}  // namespace detente::data
