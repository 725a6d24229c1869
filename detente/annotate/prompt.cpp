// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/prompt.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fnv.h>
#include <detente/core/suggest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace detente::annotate {
namespace {

// Lower-case. Each is broken after its first character, which is what a tokenizer looks for.
constexpr std::array<std::string_view, 17> kSigns = {"<|",
                                                     "|>",
                                                     "<\xef\xbd\x9c",
                                                     "<s>",
                                                     "</s>",
                                                     "[inst]",
                                                     "[/inst]",
                                                     "<<sys>>",
                                                     "<</sys>>",
                                                     "<start_of_turn>",
                                                     "<end_of_turn>",
                                                     "<bos>",
                                                     "<eos>",
                                                     "<extra_id_",
                                                     "<unk>",
                                                     "[gmask]",
                                                     "<pad>"};

bool sign_at(std::string_view lower, std::size_t at) {
  return std::any_of(kSigns.begin(), kSigns.end(), [&](std::string_view sign) {
    return lower.substr(at).starts_with(sign);
  });
}

}  // namespace

std::string fill(std::string_view pattern, const Values& values, const std::string& where) {
  std::string out;
  std::size_t at = 0;
  for (;;) {
    const std::size_t open = pattern.find("{{", at);
    out += pattern.substr(at, open == std::string_view::npos ? open : open - at);
    if (open == std::string_view::npos) return out;
    const std::size_t close = pattern.find("}}", open);
    DETENTE_CHECK(close != std::string_view::npos,
                  ErrorCode::kInvalidArgument,
                  "{} a '{{{{' is never closed; expected '{{{{name}}}}'.",
                  where);
    const std::string name(trim(pattern.substr(open + 2, close - open - 2)));
    const auto found = std::find_if(
        values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
    if (found == values.end()) {
      std::vector<std::string> names;
      for (const auto& value : values) names.push_back(value.first);
      fail(ErrorCode::kInvalidArgument,
           "{} nothing is called '{{{{{}}}}}' here; {}",
           where,
           name,
           expected_one_of(name, names));
    }
    out += found->second;
    at = close + 2;
  }
}

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::string fenced(std::string_view word, std::string_view text) {
  const std::string inner = defused(text);
  std::string mark;
  for (std::uint64_t seed = 0;; ++seed) {
    mark = fmt::format("{}-{:08x}", word, fnv1a(inner, kFnvStart ^ seed) >> 32U);
    if (inner.find(mark) == std::string::npos) break;
  }
  return fmt::format("<{0}>\n{1}\n</{0}>", mark, inner);
}

std::string defused(std::string_view text) {
  const std::string lower = lower_ascii(std::string(text));
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    out += control ? ' ' : text[i];
    if (sign_at(lower, i)) out += ' ';
  }
  return out;
}

}  // namespace detente::annotate
