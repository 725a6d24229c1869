// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/npy.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "tests/support/code_of.h"
#include "tests/support/temp_dir.h"

namespace detente {
namespace {

using test::code_of;
using test::TempDir;
using testing::HasSubstr;

std::string npy_bytes(int version, const std::string& header, const std::string& data) {
  std::string bytes("\x93NUMPY", 6);
  bytes += static_cast<char>(version);
  bytes += '\0';
  const std::size_t n = header.size();
  bytes += static_cast<char>(n & 0xff);
  bytes += static_cast<char>(n >> 8);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(Npy, ReadsBackWhatWasWritten) {
  const TempDir dir;
  const std::vector<double> values = {1, -2.5, 1e-300, 4, 5, 6};
  write_npy(dir.file("a.npy"), {3, 2}, values.data());
  const NpyArray array = read_npy(dir.file("a.npy"));
  EXPECT_EQ(array.shape, (std::vector<std::size_t>{3, 2}));
  EXPECT_EQ(array.values, values);
  EXPECT_EQ(array.dtype, "<f8");
  const Matrix matrix = read_npy_matrix(dir.file("a.npy"));
  EXPECT_EQ(matrix(1, 1), 4.0);
}

TEST(Npy, AlignsTheDataAsNumpyDoes) {
  const TempDir dir;
  const double value = 1;
  write_npy(dir.file("a.npy"), {1}, &value);
  const std::string bytes = read_file(dir.file("a.npy"));
  EXPECT_EQ((bytes.size() - sizeof(double)) % 64, 0u);
  EXPECT_EQ(bytes[bytes.size() - sizeof(double) - 1], '\n');
  EXPECT_THAT(bytes, HasSubstr("'shape': (1,)"));
}

TEST(Npy, ReadsTheBytesNumpyWrites) {
  // numpy.save of array([[1.5, -2], [3, 4]], dtype=float32), version 1.0.
  const TempDir dir;
  const std::string header =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }" + std::string(58, ' ') + "\n";
  const std::string file = dir.write("a.npy", npy_bytes(1, header, raw<float>({1.5F, -2, 3, 4})));
  const Matrix m = read_npy_matrix(file);
  EXPECT_EQ(m(0, 0), 1.5);
  EXPECT_EQ(m(0, 1), -2.0);
  EXPECT_EQ(m(1, 0), 3.0);
}

TEST(Npy, ReadsFortranOrderAndNewerVersions) {
  const TempDir dir;
  const std::string header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }\n";
  for (const int version : {1, 2, 3}) {
    const std::string file =
        dir.write("a.npy", npy_bytes(version, header, raw<double>({1, 2, 3, 4, 5, 6})));
    const Matrix m = read_npy_matrix(file);
    EXPECT_EQ(m(0, 1), 3.0) << version;
    EXPECT_EQ(m(1, 2), 6.0) << version;
  }
}

TEST(Npy, ReadsVectorsRowsColumnsAndScalars) {
  const TempDir dir;
  const std::vector<double> values = {1, 2, 3};
  for (const auto& shape : std::vector<std::vector<std::size_t>>{{3}, {1, 3}, {3, 1}}) {
    write_npy(dir.file("v.npy"), shape, values.data());
    EXPECT_EQ(read_npy_vector(dir.file("v.npy")), values);
  }
  write_npy(dir.file("v.npy"), {}, values.data());
  EXPECT_EQ(read_npy(dir.file("v.npy")).values, std::vector<double>{1});
  EXPECT_EQ(code_of([&] { read_npy_vector(dir.file("v.npy")); }, "one dimension"),
            ErrorCode::kShape);
  EXPECT_EQ(code_of([&] { read_npy_matrix(dir.file("v.npy")); }, "two dimensions"),
            ErrorCode::kShape);
}

TEST(Npy, ReadsEmptyArrays) {
  const TempDir dir;
  write_npy(dir.file("e.npy"), {0, 5}, static_cast<const double*>(nullptr));
  const Matrix m = read_npy_matrix(dir.file("e.npy"));
  EXPECT_EQ(m.rows(), 0u);
  EXPECT_EQ(m.cols(), 5u);
}

TEST(Npy, ExplainsEachWayToBeWrong) {
  const TempDir dir;
  const auto header = [](const std::string& descr, const std::string& shape) {
    return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  };
  const std::string eight = raw<double>({1});
  const auto code = [&](const std::string& bytes, const std::string& text) {
    const std::string file = dir.write("x.npy", bytes);
    return code_of([&] { read_npy(file); }, text);
  };
  EXPECT_EQ(code("", "not a NumPy"), ErrorCode::kData);
  EXPECT_EQ(code("PK\x03\x04 an npz archive", "not a NumPy"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(9, header("<f8", "(1,)"), eight), "version 9"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "(1,)"), eight).substr(0, 30), "inside its header"),
            ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header(">f8", "(1,)"), eight), "big-endian"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<i8", "(1,)"), eight), "astype('<f8')"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("|b1", "(8,)"), eight), "astype('<f8')"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "(2,)"), eight), "needs 16 bytes"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "(1,)"), eight + "x"), "has 9"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "(99999999999999999999999,)"), eight), "too large"),
            ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "(4294967296, 4294967296)"), eight), "more data"),
            ErrorCode::kData);
  for (const char* shape : {"(0, 576460752303423488)",
                            "(576460752303423488, 0)",
                            "(0, 4611686018427387904, 4611686018427387904)",
                            "(4611686018427387904, 4611686018427387904, 0)"}) {
    EXPECT_EQ(code(npy_bytes(1, header("<f8", shape), ""), "more data"), ErrorCode::kData) << shape;
  }
  EXPECT_EQ(code(npy_bytes(1, "{'descr': '<f8'}\n", eight), "fortran_order"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1, header("<f8", "one"), eight), "shape"), ErrorCode::kData);
  EXPECT_EQ(code(npy_bytes(1,
                           "{'descr': [('a', '<f8')], 'fortran_order': False, "
                           "'shape': (1,), }\n",
                           eight),
                 "structured"),
            ErrorCode::kData);
}

}  // namespace
}  // namespace detente
