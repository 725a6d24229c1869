// SPDX-License-Identifier: Apache-2.0
#include <detente/data/text_source.h>

namespace detente::data {

TextSource::TextSource() { set_columns("text", ""); }

void TextSource::describe(FieldVisitor& data) { describe_columns(data, false); }

std::unique_ptr<Source> TextSource::fresh() const {
  auto source = std::make_unique<TextSource>();
  source->take_options(*this);
  return source;
}

}  // namespace detente::data
