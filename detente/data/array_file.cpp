// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/suggest.h>
#include <detente/data/array_file.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNpy = ".npy";

template <class T, bool kSwapped>
double read_entry(const char* from) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, from, sizeof(T));
  if constexpr (kSwapped) std::reverse(bytes, bytes + sizeof(T));
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<double>(value);
}

// IEEE 754 binary16.
template <bool kSwapped>
double read_half(const char* from) {
  const auto low = static_cast<unsigned char>(from[kSwapped ? 1 : 0]);
  const auto high = static_cast<unsigned char>(from[kSwapped ? 0 : 1]);
  const int exponent = high >> 2U & 31;
  const int fraction = (high & 3) << 8U | low;
  double size = 0;
  if (exponent == 31) {
    size = fraction == 0 ? HUGE_VAL : std::nan("");
  } else if (exponent == 0) {
    size = std::ldexp(fraction, -24);
  } else {
    size = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (high & 128) != 0 ? -size : size;
}

double read_truth(const char* from) { return *from == 0 ? 0.0 : 1.0; }

using Reader = double (*)(const char*);

template <class T>
Reader reader_of(bool swapped) {
  return swapped ? read_entry<T, true> : read_entry<T, false>;
}

// Null for texts.
Reader choose_reader(char kind, std::size_t item, bool swapped) {
  switch (kind) {
    case 'b':
      return read_truth;
    case 'i':
      if (item == 1) return reader_of<std::int8_t>(swapped);
      if (item == 2) return reader_of<std::int16_t>(swapped);
      return item == 4 ? reader_of<std::int32_t>(swapped) : reader_of<std::int64_t>(swapped);
    case 'u':
      if (item == 1) return reader_of<std::uint8_t>(swapped);
      if (item == 2) return reader_of<std::uint16_t>(swapped);
      return item == 4 ? reader_of<std::uint32_t>(swapped) : reader_of<std::uint64_t>(swapped);
    case 'f':
      if (item == 2) return swapped ? read_half<true> : read_half<false>;
      return item == 4 ? reader_of<float>(swapped) : reader_of<double>(swapped);
    default:
      return nullptr;
  }
}

void append_utf8(std::uint32_t code, std::string& out) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = kReplacement;
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | (code >> shift & 0x3fU));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::vector<std::string> words_of(Part part) {
  switch (part) {
    case Part::kTrain:
      return {"train"};
    case Part::kDev:
      return {"dev", "val", "valid", "validation"};
    case Part::kTest:
      return {"test"};
  }
  return {};
}

}  // namespace

ArrayName array_name(const std::string& name) {
  for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
    for (const std::string& word : words_of(part)) {
      if (name.ends_with("_" + word)) return {name.substr(0, name.size() - word.size() - 1), part};
      if (name.starts_with(word + "_")) return {name.substr(word.size() + 1), part};
    }
  }
  return {name, std::nullopt};
}

ArrayEntries::ArrayEntries(const NpyContent& content)
    : content_(content), count_(content.count()), swapped_(content.dtype[0] == '>') {
  read_ = choose_reader(content.dtype[1], content.item, swapped_);
}

const char* ArrayEntries::at(std::size_t place) const {
  DETENTE_DCHECK(place < count_);
  if (content_.fortran_order) {
    std::size_t index = 0;
    std::size_t stride = count_;
    for (std::size_t d = content_.shape.size(); d-- > 0;) {
      stride /= content_.shape[d];
      index += place % content_.shape[d] * stride;
      place /= content_.shape[d];
    }
    place = index;
  }
  return content_.bytes.data() + place * content_.item;
}

std::string ArrayEntries::cell(std::size_t place) const {
  const char* from = at(place);
  if (is_text()) return text(from);
  // Beyond 2^53 a double would be another number.
  const char kind = content_.dtype[1];
  if (content_.item == 8 && (kind == 'i' || kind == 'u')) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, from, sizeof(bits));
    if (swapped_) {
      auto* bytes = reinterpret_cast<char*>(&bits);
      std::reverse(bytes, bytes + sizeof(bits));
    }
    return kind == 'u' ? std::to_string(bits) : std::to_string(static_cast<std::int64_t>(bits));
  }
  const double value = read_(from);
  return std::isnan(value) ? "NaN" : fmt::format("{}", value);
}

std::string ArrayEntries::text(const char* from) const {
  std::string out;
  const std::size_t step = content_.dtype[1] == 'U' ? 4 : 1;
  std::size_t kept = 0;  // NumPy fills up with zeros
  for (std::size_t i = 0; i < content_.item; i += step) {
    std::uint32_t code = 0;
    for (std::size_t b = 0; b < step; ++b) {
      const std::size_t byte = swapped_ ? step - 1 - b : b;
      code |= std::uint32_t{static_cast<unsigned char>(from[i + byte])} << (8 * b);
    }
    // A byte of a text of bytes that is no ASCII belongs to an encoding that the file does not name.
    append_utf8(step == 1 && code > 0x7f ? 0xfffd : code, out);
    if (code != 0) kept = out.size();
  }
  out.resize(kept);
  std::replace(out.begin(), out.end(), '\0', ' ');
  return out;
}

ArrayFile::ArrayFile(const fs::path& path, std::string inputs)
    : path_(path.string()), inputs_(std::move(inputs)) {
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  if (!is_folder) {
    bytes_ = read_file(path);
    if (bytes_.starts_with("PK")) {
      members_ = list_zip(bytes_, path_);
      for (ZipMember& member : members_) {
        if (member.name.ends_with(kNpy)) files_.push_back(member.name);
      }
      for (std::string& name : files_) name.resize(name.size() - std::strlen(kNpy));
      DETENTE_CHECK(!files_.empty(),
                    ErrorCode::kData,
                    "[data::ArrayFile] the archive '{}' holds no array; expected members X.npy and "
                    "on, as numpy.savez writes them.",
                    path_);
      std::sort(files_.begin(), files_.end());
      return;
    }
    DETENTE_CHECK(bytes_.starts_with("\x93NUMPY"),
                  ErrorCode::kData,
                  "[data::ArrayFile] '{}' ({} bytes) is neither a .npy nor a .npz file; expected "
                  "one, or a folder of .npy files. Write it with numpy.save or numpy.savez.",
                  path_,
                  bytes_.size());
    bytes_.clear();
    folder_ = path.parent_path();
    whole_ = path.filename().string();
    const std::string stem = path.stem().string();
    const std::size_t begin = stem.find(inputs_);
    if (begin != std::string::npos) {
      before_ = stem.substr(0, begin);
      after_ = stem.substr(begin + inputs_.size());
    }
    return;
  }
  folder_ = path;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const fs::path name = at->path().filename();
    if (lower_ascii(name.extension().string()) == kNpy) files_.push_back(name.stem().string());
  }
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[data::ArrayFile] cannot read the folder '{}': {}.",
                path_,
                error.message());
  DETENTE_CHECK(!files_.empty(),
                ErrorCode::kData,
                "[data::ArrayFile] the folder '{}' holds no .npy file; expected X.npy and on.",
                path_);
  std::sort(files_.begin(), files_.end());
}

bool ArrayFile::has(const std::string& name) const {
  if (whole_.empty()) return std::binary_search(files_.begin(), files_.end(), name);
  std::error_code ignored;
  return fs::is_regular_file(folder_ / (name + kNpy), ignored);
}

std::string ArrayFile::find(const std::string& name, const std::vector<Part>& parts) const {
  if (!whole_.empty()) {
    // The file itself is the inputs, whatever its name.
    if (name == inputs_) return whole_;
    const std::string beside = before_ + name + after_;
    if (!(before_ + after_).empty() && has(beside)) return beside;
  }
  if (has(name)) return name;
  for (const Part part : parts) {
    if (std::string own = find_part(name, part); !own.empty()) return own;
  }
  return "";
}

std::string ArrayFile::asked_by(const std::string& name) const {
  const std::size_t around = before_.size() + after_.size();
  const bool beside = name.size() > around && name.starts_with(before_) && name.ends_with(after_);
  return beside ? name.substr(before_.size(), name.size() - around) : name;
}

std::string ArrayFile::find_part(const std::string& name, Part part) const {
  if (!whole_.empty()) return "";
  for (const std::string& word : words_of(part)) {
    for (std::string own : {name + "_" + word, word + "_" + name}) {
      if (has(own)) return own;
    }
  }
  return "";
}

ArrayFile::Loaded ArrayFile::load(const std::string& found) const {
  if (members_.empty()) {
    const fs::path file = folder_ / (found == whole_ ? found : found + kNpy);
    return {read_file(file), file.string()};
  }
  const std::string name = found + kNpy;
  const auto member = std::find_if(
      members_.begin(), members_.end(), [&](const ZipMember& one) { return one.name == name; });
  DETENTE_DCHECK(member != members_.end());
  return {unpack(*member, path_), found + "' of '" + path_};
}

std::vector<std::string> ArrayFile::names() const {
  if (whole_.empty()) return files_;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    const fs::path name = at->path().filename();
    if (name.extension() == kNpy) names.push_back(name.stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace detente::data
