// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>
#include <detente/core/whole_number.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

namespace detente {
namespace {

static_assert(std::endian::native == std::endian::little, "the .npy code assumes little-endian");

constexpr std::size_t kMostOfNothing = std::size_t{1} << 32;
constexpr std::size_t kWidestItem = std::size_t{1} << 24;

// The text after "'key':" up to the end of the header, or an error.
std::string_view npy_value(std::string_view header, const char* key, const std::string& file) {
  for (const char quote : {'\'', '"'}) {
    const std::string pattern = std::string(1, quote) + key + quote;
    std::size_t at = header.find(pattern);
    if (at == std::string_view::npos) continue;
    at = header.find(':', at + pattern.size());
    if (at == std::string_view::npos) continue;
    std::string_view rest = header.substr(at + 1);
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    return rest;
  }
  fail(ErrorCode::kData,
       "[core::read_npy] '{}': the header has no '{}'; expected a NumPy file.",
       file,
       key);
}

NpyContent parse_header(std::string_view header, const std::string& file) {
  NpyContent parsed;
  const std::string_view descr = npy_value(header, "descr", file);
  DETENTE_CHECK(descr.size() > 2 && (descr.front() == '\'' || descr.front() == '"'),
                ErrorCode::kData,
                "[core::read_npy] '{}' holds structured records; expected a plain array of "
                "numbers.",
                file);
  parsed.dtype = descr.substr(1, descr.find(descr.front(), 1) - 1);
  parsed.fortran_order = npy_value(header, "fortran_order", file).starts_with("True");
  std::string_view shape = npy_value(header, "shape", file);
  DETENTE_CHECK(!shape.empty() && shape.front() == '(',
                ErrorCode::kData,
                "[core::read_npy] '{}': cannot read the shape in the header.",
                file);
  shape.remove_prefix(1);
  while (!shape.empty() && shape.front() != ')') {
    const char c = shape.front();
    if (c == ',' || c == ' ' || c == 'L') {
      shape.remove_prefix(1);
      continue;
    }
    DETENTE_CHECK(c >= '0' && c <= '9',
                  ErrorCode::kData,
                  "[core::read_npy] '{}': cannot read the shape in the header.",
                  file);
    std::size_t n = 0;
    while (!shape.empty() && shape.front() >= '0' && shape.front() <= '9') {
      DETENTE_CHECK(n < std::numeric_limits<std::size_t>::max() / 16,
                    ErrorCode::kData,
                    "[core::read_npy] '{}': the shape in the header is too large.",
                    file);
      n = n * 10 + static_cast<std::size_t>(shape.front() - '0');
      shape.remove_prefix(1);
    }
    parsed.shape.push_back(n);
  }
  return parsed;
}

// kData for entries that are neither numbers, truth values nor texts.
std::size_t item_size(const std::string& dtype, const std::string& file) {
  const bool ordered = dtype.size() >= 2 && std::strchr("<>|=", dtype[0]) != nullptr;
  DETENTE_CHECK(!ordered || dtype[1] != 'O',
                ErrorCode::kData,
                "[core::read_npy] '{}' holds Python objects ('{}'), which only Python's pickle can "
                "read; expected numbers. Convert it with array.astype('f8').",
                file,
                dtype);
  const std::optional<std::size_t> width =
      ordered ? whole_number<std::size_t>(std::string_view(dtype).substr(2)) : std::nullopt;
  const bool known = ordered && width && *width > 0 && *width <= kWidestItem &&
                     ((dtype[1] == 'b' && *width == 1) ||
                      (std::strchr("iu", dtype[1]) != nullptr &&
                       (*width == 1 || *width == 2 || *width == 4 || *width == 8)) ||
                      (dtype[1] == 'f' && (*width == 2 || *width == 4 || *width == 8)) ||
                      std::strchr("US", dtype[1]) != nullptr);
  DETENTE_CHECK(known,
                ErrorCode::kData,
                "[core::read_npy] '{}' holds '{}'; expected whole numbers of up to 8 bytes, "
                "float16, float32, float64, truth values or texts. Convert it with "
                "array.astype('<f8').",
                file,
                dtype);
  constexpr std::size_t kBytesOfCharacter = 4;
  return dtype[1] == 'U' ? kBytesOfCharacter * *width : *width;
}

template <class T>
void copy_values(const char* bytes, std::vector<double>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

// Column-major to row-major for any number of dimensions.
std::vector<double> to_c_order(const std::vector<double>& values,
                               const std::vector<std::size_t>& shape) {
  std::vector<double> out(values.size());
  std::vector<std::size_t> index(shape.size(), 0);
  for (double& target : out) {
    std::size_t offset = 0;
    std::size_t stride = 1;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      offset += index[d] * stride;
      stride *= shape[d];
    }
    target = values[offset];
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

std::string npy_shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() == 1) text += ",";
  return text + ")";
}

NpyContent parse_npy(std::string_view bytes, const std::string& source) {
  DETENTE_CHECK(bytes.size() >= 10 && bytes.starts_with("\x93NUMPY"),
                ErrorCode::kData,
                "[core::read_npy] '{}' is not a NumPy .npy file ({} bytes, no \\x93NUMPY at its "
                "start). Write it with numpy.save.",
                source,
                bytes.size());
  const int major = static_cast<unsigned char>(bytes[6]);
  DETENTE_CHECK(major >= 1 && major <= 3,
                ErrorCode::kData,
                "[core::read_npy] '{}' has .npy version {}; expected 1, 2 or 3.",
                source,
                major);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t header_size = 0;
  DETENTE_CHECK(bytes.size() >= 8 + length_bytes,
                ErrorCode::kData,
                "[core::read_npy] '{}' is cut short inside its header.",
                source);
  for (std::size_t i = 0; i < length_bytes; ++i) {
    header_size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  }
  const std::size_t begin = 8 + length_bytes;
  DETENTE_CHECK(bytes.size() >= begin + header_size,
                ErrorCode::kData,
                "[core::read_npy] '{}' is cut short inside its header.",
                source);
  NpyContent content = parse_header(bytes.substr(begin, header_size), source);
  content.item = item_size(content.dtype, source);
  const auto& shape = content.shape;
  const bool empty = std::find(shape.begin(), shape.end(), 0U) != shape.end();
  // An empty array may be wide, but not so that nothing could ever hold a row of it.
  const std::size_t most = empty ? kMostOfNothing : bytes.size();
  std::size_t count = 1;
  for (const std::size_t n : shape) {
    DETENTE_CHECK(n == 0 || count <= most / n,
                  ErrorCode::kData,
                  "[core::read_npy] '{}': shape {} needs more data than the file has ({} bytes).",
                  source,
                  npy_shape_text(shape),
                  bytes.size());
    count *= std::max<std::size_t>(n, 1);
  }
  if (empty) count = 0;
  content.bytes = bytes.substr(begin + header_size);
  DETENTE_CHECK(content.bytes.size() == count * content.item,
                ErrorCode::kData,
                "[core::read_npy] '{}': shape {} of {} needs {} bytes of data, the file has {}. It "
                "is damaged or was cut short.",
                source,
                npy_shape_text(shape),
                content.dtype,
                count * content.item,
                content.bytes.size());
  return content;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  const std::string file = path.string();
  const NpyContent content = parse_npy(bytes, file);
  DETENTE_CHECK(content.dtype.front() != '>',
                ErrorCode::kData,
                "[core::read_npy] '{}' is big-endian ({}); expected little-endian. Convert it with "
                "array.astype('<f8').",
                file,
                content.dtype);
  DETENTE_CHECK(content.dtype[1] == 'f' && (content.item == 4 || content.item == 8),
                ErrorCode::kData,
                "[core::read_npy] '{}' holds '{}'; expected float32 ('<f4') or float64 ('<f8'). "
                "Convert it with array.astype('<f8').",
                file,
                content.dtype);
  NpyArray array{content.shape, std::vector<double>(content.count()), content.dtype};
  if (content.item == 4) {
    copy_values<float>(content.bytes.data(), array.values);
  } else {
    copy_values<double>(content.bytes.data(), array.values);
  }
  if (content.fortran_order && content.shape.size() > 1) {
    array.values = to_c_order(array.values, content.shape);
  }
  return array;
}

Matrix read_npy_matrix(const std::filesystem::path& path) {
  const NpyArray array = read_npy(path);
  DETENTE_CHECK(array.shape.size() == 2,
                ErrorCode::kShape,
                "[core::read_npy] '{}' has shape {}; expected two dimensions (rows, columns).",
                path.string(),
                npy_shape_text(array.shape));
  Matrix matrix(array.shape[0], array.shape[1]);
  std::copy(array.values.begin(), array.values.end(), matrix.data());
  return matrix;
}

std::vector<double> read_npy_vector(const std::filesystem::path& path) {
  NpyArray array = read_npy(path);
  std::size_t wide = 0;
  for (const std::size_t n : array.shape) wide += n > 1 ? 1 : 0;
  DETENTE_CHECK(!array.shape.empty() && wide <= 1,
                ErrorCode::kShape,
                "[core::read_npy] '{}' has shape {}; expected one dimension.",
                path.string(),
                npy_shape_text(array.shape));
  return std::move(array.values);
}

namespace {

void write_numbers(const std::filesystem::path& path,
                   const std::vector<std::size_t>& shape,
                   const char* dtype,
                   const void* values,
                   std::size_t item) {
  std::string header = std::string("{'descr': '") + dtype +
                       "', 'fortran_order': False, 'shape': " + npy_shape_text(shape) + ", }";
  const std::size_t unpadded = 10 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  std::size_t count = 1;
  for (const std::size_t n : shape) count *= n;
  bytes.append(static_cast<const char*>(values), count * item);
  write_file_atomic(path, bytes);
}

}  // namespace

void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const double* values) {
  write_numbers(path, shape, "<f8", values, sizeof(double));
}

void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const float* values) {
  write_numbers(path, shape, "<f4", values, sizeof(float));
}

}  // namespace detente
