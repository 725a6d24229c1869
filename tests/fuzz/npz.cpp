// SPDX-License-Identifier: Apache-2.0
// NumPy's archives: any bytes, and whole archives around any member.
#include <detente/core/zip.h>
#include <detente/data/array_file.h>
#include <tests/support/write_npy.h>

#include "fuzz.h"

using namespace detente;

namespace {

void check_content(std::string_view bytes) {
  fuzz::survive([&] {
    const NpyContent content = parse_npy(bytes, "file");
    const data::ArrayEntries entries(content);
    fuzz::expect(entries.size() * content.item == content.bytes.size(), "whole entries");
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!entries.is_text()) entries.number(i);
      fuzz::expect(entries.cell(i).find('\0') == std::string::npos, "a cell is text");
    }
  });
}

}  // namespace

FUZZ(data, size) {
  const std::string bytes(fuzz::text_of(data, size));
  for (const std::string& archive : {bytes, bytes + "PK\x05\x06" + std::string(18, '\0')}) {
    fuzz::survive([&] {
      for (const ZipMember& member : list_zip(archive, "file")) {
        fuzz::survive([&] {
          const std::string content = unpack(member, "file");
          fuzz::expect(content.size() == member.size, "what the entry says");
          check_content(content);
        });
      }
    });
  }
  check_content("\x93NUMPY\x01" + bytes);
  test::ZipForm form;
  form.deflate = size % 2 == 0;
  form.in_64 = size % 3 == 0;
  const std::string whole = test::zip_file({{"a.npy", bytes}}, form);
  const auto members = list_zip(whole, "file");
  fuzz::expect(members.size() == 1 && unpack(members[0], "file") == bytes, "comes back");
}
