// SPDX-License-Identifier: Apache-2.0
// Tables of values: what is read is written, and read again as the same.
#include <detente/valuation/value_table.h>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  fuzz::survive([&] {
    const valuation::ValueTable table = valuation::parse_values(fuzz::text_of(data, size), "file");
    for (const valuation::ValueSeries& one : table.series) {
      fuzz::expect(one.values.size() == table.ids.size(), "a value for every id");
    }
    const std::string csv = valuation::to_csv(table);
    fuzz::expect(valuation::to_csv(valuation::parse_values(csv, "file")) == csv,
                 "what was written reads back");
  });
}
