// SPDX-License-Identifier: Apache-2.0
// Tables: the first byte is the format, the rest the file.
#include <detente/data/table.h>
#include <detente/text/unicode.h>

#include <cmath>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  if (size == 0) return;
  constexpr data::TableFormat kFormats[] = {
      data::TableFormat::kTsv, data::TableFormat::kCsv, data::TableFormat::kJsonLines};
  const auto format = kFormats[data[0] % 3];
  fuzz::survive([&] {
    const data::Table table =
        data::Table::parse(std::string(fuzz::text_of(data + 1, size - 1)), "file", format);
    std::size_t line = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      fuzz::expect(table.line(row) > line, "lines grow");
      line = table.line(row);
      for (std::size_t column = 0; column < table.column_names().size(); ++column) {
        fuzz::expect(text::find_invalid_utf8(table.cell(row, column)) == std::string::npos,
                     "cells are UTF-8");
      }
    }
    for (const std::string& name : table.column_names()) {
      fuzz::expect(table.text_column(name).size() == table.rows(), "a cell for every row");
      fuzz::survive([&] {
        for (const double value : table.numeric_column(name)) {
          fuzz::expect(!std::isinf(value), "numbers are finite or missing");
        }
      });
    }
  });
}
