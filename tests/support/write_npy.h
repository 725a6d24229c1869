// SPDX-License-Identifier: Apache-2.0
// Files as NumPy writes them, by hand.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace detente::test {

template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// `shape` as NumPy writes it: "(3, 2)".
inline std::string npy_file(const std::string& dtype,
                            const std::string& shape,
                            const std::string& bytes,
                            bool fortran = false) {
  std::string header = "{'descr': '" + dtype +
                       "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header + bytes;
}

inline std::string zip_number(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xffU);
  return text;
}

inline std::string deflated(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(content.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct ZipForm {
  bool deflate = false;
  bool in_64 = false;         // all sizes and places in zip64 fields, and a zip64 end
  std::uint64_t method = 99;  // other than what it is
  std::uint64_t flags = 0;
  std::string comment;
};

inline std::string zip_file(const std::vector<std::pair<std::string, std::string>>& members,
                            const ZipForm& form = {}) {
  std::string file;
  std::string directory;
  const std::string all = zip_number(0xffffffff, 4);
  for (const auto& [name, content] : members) {
    const std::string packed = form.deflate ? deflated(content) : content;
    const auto crc =
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    const std::string kind =
        zip_number(form.flags, 2) +
        zip_number(form.method != 99 ? form.method : (form.deflate ? 8 : 0), 2) + zip_number(0, 4) +
        zip_number(crc, 4);
    const std::string sizes = zip_number(packed.size(), 4) + zip_number(content.size(), 4);
    const std::string extra =
        form.in_64 ? zip_number(1, 2) + zip_number(24, 2) + zip_number(content.size(), 8) +
                         zip_number(packed.size(), 8) + zip_number(file.size(), 8)
                   : "";
    directory += "PK\x01\x02" + zip_number(20, 2) + zip_number(20, 2) + kind +
                 (form.in_64 ? all + all : sizes) + zip_number(name.size(), 2) +
                 zip_number(extra.size(), 2) + zip_number(0, 2) + zip_number(0, 2) +
                 zip_number(0, 2) + zip_number(0, 4) +
                 (form.in_64 ? all : zip_number(file.size(), 4)) + name + extra;
    file += "PK\x03\x04" + zip_number(20, 2) + kind + sizes + zip_number(name.size(), 2) +
            zip_number(0, 2) + name + packed;
  }
  const std::uint64_t begin = file.size();
  const std::uint64_t size = directory.size();
  file += directory;
  if (form.in_64) {
    const std::uint64_t end = file.size();
    file += "PK\x06\x06" + zip_number(44, 8) + zip_number(45, 2) + zip_number(45, 2) +
            zip_number(0, 8) + zip_number(members.size(), 8) + zip_number(members.size(), 8) +
            zip_number(size, 8) + zip_number(begin, 8);
    file += "PK\x06\x07" + zip_number(0, 4) + zip_number(end, 8) + zip_number(1, 4);
  }
  const auto count = form.in_64 ? 0xffff : members.size();
  file += "PK\x05\x06" + zip_number(0, 4) + zip_number(count, 2) + zip_number(count, 2) +
          (form.in_64 ? all + all : zip_number(size, 4) + zip_number(begin, 4)) +
          zip_number(form.comment.size(), 2) + form.comment;
  return file;
}

}  // namespace detente::test
