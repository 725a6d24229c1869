// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

namespace detente {
namespace {

static_assert(std::endian::native == std::endian::little, "the .npy code assumes little-endian");

constexpr std::size_t kMostOfNothing = std::size_t{1} << 32;

struct NpyHeader {
  std::string dtype;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

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

NpyHeader parse_header(std::string_view header, const std::string& file) {
  NpyHeader parsed;
  const std::string_view descr = npy_value(header, "descr", file);
  DETENTE_CHECK(descr.size() > 2 && (descr.front() == '\'' || descr.front() == '"'),
                ErrorCode::kData,
                "[core::read_npy] '{}' holds structured records; expected a plain array of "
                "float32 or float64.",
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

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() == 1) text += ",";
  return text + ")";
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

NpyArray read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  const std::string file = path.string();
  DETENTE_CHECK(bytes.size() >= 10 && bytes.compare(0, 6, "\x93NUMPY") == 0,
                ErrorCode::kData,
                "[core::read_npy] '{}' is not a NumPy .npy file ({} bytes, no \\x93NUMPY at its "
                "start). Write it with numpy.save.",
                file,
                bytes.size());
  const int major = static_cast<unsigned char>(bytes[6]);
  DETENTE_CHECK(major >= 1 && major <= 3,
                ErrorCode::kData,
                "[core::read_npy] '{}' has .npy version {}; expected 1, 2 or 3.",
                file,
                major);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t header_size = 0;
  DETENTE_CHECK(bytes.size() >= 8 + length_bytes,
                ErrorCode::kData,
                "[core::read_npy] '{}' is cut short inside its header.",
                file);
  for (std::size_t i = 0; i < length_bytes; ++i) {
    header_size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  }
  const std::size_t begin = 8 + length_bytes;
  DETENTE_CHECK(bytes.size() >= begin + header_size,
                ErrorCode::kData,
                "[core::read_npy] '{}' is cut short inside its header.",
                file);
  const NpyHeader header = parse_header(std::string_view(bytes).substr(begin, header_size), file);
  DETENTE_CHECK(header.dtype.empty() || header.dtype.front() != '>',
                ErrorCode::kData,
                "[core::read_npy] '{}' is big-endian ({}); expected little-endian. Convert it with "
                "array.astype('<f8').",
                file,
                header.dtype);
  DETENTE_CHECK(header.dtype == "<f4" || header.dtype == "<f8" || header.dtype == "=f8" ||
                    header.dtype == "=f4",
                ErrorCode::kData,
                "[core::read_npy] '{}' holds '{}'; expected float32 ('<f4') or float64 ('<f8'). "
                "Convert it with array.astype('<f8').",
                file,
                header.dtype);
  const std::size_t item = header.dtype[2] == '4' ? 4 : 8;
  const bool empty = std::find(header.shape.begin(), header.shape.end(), 0U) != header.shape.end();
  // An empty array may be wide, but not so that nothing could ever hold a row of it.
  const std::size_t most = empty ? kMostOfNothing : bytes.size();
  std::size_t count = 1;
  for (const std::size_t n : header.shape) {
    DETENTE_CHECK(n == 0 || count <= most / n,
                  ErrorCode::kData,
                  "[core::read_npy] '{}': shape {} needs more data than the file has ({} bytes).",
                  file,
                  shape_text(header.shape),
                  bytes.size());
    count *= std::max<std::size_t>(n, 1);
  }
  if (empty) count = 0;
  const std::size_t available = bytes.size() - begin - header_size;
  DETENTE_CHECK(available == count * item,
                ErrorCode::kData,
                "[core::read_npy] '{}': shape {} of {} needs {} bytes of data, the file has {}. It "
                "is damaged or was cut short.",
                file,
                shape_text(header.shape),
                header.dtype,
                count * item,
                available);
  NpyArray array{header.shape, std::vector<double>(count), header.dtype};
  const char* data = bytes.data() + begin + header_size;
  if (item == 4) {
    copy_values<float>(data, array.values);
  } else {
    copy_values<double>(data, array.values);
  }
  if (header.fortran_order && header.shape.size() > 1) {
    array.values = to_c_order(array.values, header.shape);
  }
  return array;
}

Matrix read_npy_matrix(const std::filesystem::path& path) {
  const NpyArray array = read_npy(path);
  DETENTE_CHECK(array.shape.size() == 2,
                ErrorCode::kShape,
                "[core::read_npy] '{}' has shape {}; expected two dimensions (rows, columns).",
                path.string(),
                shape_text(array.shape));
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
                shape_text(array.shape));
  return std::move(array.values);
}

void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const double* values) {
  std::string header =
      "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape_text(shape) + ", }";
  const std::size_t unpadded = 10 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  std::size_t count = 1;
  for (const std::size_t n : shape) count *= n;
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(double));
  write_file_atomic(path, bytes);
}

}  // namespace detente
