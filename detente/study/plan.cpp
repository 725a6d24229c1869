// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/study/plan.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <system_error>

namespace detente::study {
namespace {

constexpr std::string_view kBlanks = " \t\n";

// At any of `separators` outside of brackets.
std::vector<std::string> split_outside(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) {
      if (text[i] == '[') ++depth;
      if (text[i] == ']') --depth;
      if (depth != 0 || separators.find(text[i]) == std::string_view::npos) continue;
    }
    parts.emplace_back(trim(text.substr(begin, i - begin), kBlanks));
    begin = i + 1;
  }
  return parts;
}

std::pair<std::string, std::string> assignment(const std::string& text, const std::string& where) {
  const std::size_t equals = text.find('=');
  DETENTE_CHECK(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
                ErrorCode::kInvalidArgument,
                "[study::plan] '{}' in '{}' is no option; expected name=value.",
                text,
                where);
  const std::string_view view = text;
  return {std::string(trim(view.substr(0, equals), kBlanks)),
          std::string(trim(view.substr(equals + 1), kBlanks))};
}

std::string safe_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool usual = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("-_=.").find(c) != std::string_view::npos;
    name += usual ? c : '_';
  }
  if (name.empty() || name.front() == '.') name = "_" + name;
  return name.substr(0, 80);
}

// A number of digits alone, as large as the seed of a recipe may be.
std::optional<std::int64_t> seed_number(std::string_view digits) {
  constexpr std::int64_t kLargest = 9'000'000'000'000'000;
  std::int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, number);
  if (digits.empty() || error != std::errc() || rest != end || number < 0 || number > kLargest) {
    return std::nullopt;
  }
  return number;
}

// As YAML reads it back.
std::string double_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// All combinations of the axes' values.
std::vector<std::vector<std::pair<std::string, std::string>>> settings_of(
    const std::vector<const GridAxis*>& axes) {
  std::vector<std::vector<std::pair<std::string, std::string>>> settings{{}};
  for (const GridAxis* axis : axes) {
    std::vector<std::vector<std::pair<std::string, std::string>>> longer;
    for (const auto& setting : settings) {
      for (const auto& value : axis->values) {
        longer.push_back(setting);
        longer.back().emplace_back(axis->key, value);
      }
    }
    settings = std::move(longer);
  }
  return settings;
}

}  // namespace

std::vector<MethodSpec> parse_methods(std::string_view text) {
  std::vector<MethodSpec> methods;
  std::set<std::string> labels;
  DETENTE_CHECK(
      std::count(text.begin(), text.end(), '[') == std::count(text.begin(), text.end(), ']'),
      ErrorCode::kInvalidArgument,
      "[study::plan] a bracket of the methods '{}' does not close; expected e.g. "
      "ew,cagrad[c=0.2].",
      text);
  for (const std::string& part : split_outside(text, ",")) {
    DETENTE_CHECK(!part.empty(),
                  ErrorCode::kInvalidArgument,
                  "[study::plan] the methods '{}' have an empty name; expected e.g. "
                  "ew,cagrad[c=0.2].",
                  text);
    MethodSpec spec{part, part, {}};
    const std::size_t bracket = part.find('[');
    if (bracket != std::string::npos) {
      DETENTE_CHECK(bracket > 0 && part.back() == ']',
                    ErrorCode::kInvalidArgument,
                    "[study::plan] '{}' is no method with options; expected name[option=value].",
                    part);
      spec.method = trim(std::string_view(part).substr(0, bracket), kBlanks);
      const std::string inside = part.substr(bracket + 1, part.size() - bracket - 2);
      for (const std::string& option : split_outside(inside, ",;")) {
        spec.options.push_back(assignment(option, part));
      }
    }
    DETENTE_CHECK(labels.insert(spec.label).second,
                  ErrorCode::kInvalidArgument,
                  "[study::plan] the method '{}' is named twice.",
                  spec.label);
    methods.push_back(std::move(spec));
  }
  return methods;
}

std::vector<GridAxis> parse_grid(std::span<const std::string> texts) {
  std::vector<GridAxis> grid;
  for (const std::string& text : texts) {
    const auto [key, values] = assignment(text, "--grid " + text);
    GridAxis axis{key, split_outside(values, ",")};
    std::set<std::string> seen;
    for (const std::string& value : axis.values) {
      DETENTE_CHECK(!value.empty() && seen.insert(value).second,
                    ErrorCode::kInvalidArgument,
                    "[study::plan] --grid {}: a value is empty or there twice.",
                    text);
    }
    DETENTE_CHECK(
        std::none_of(
            grid.begin(), grid.end(), [&](const GridAxis& other) { return other.key == axis.key; }),
        ErrorCode::kInvalidArgument,
        "[study::plan] --grid names '{}' twice; expected one list of values.",
        axis.key);
    grid.push_back(std::move(axis));
  }
  return grid;
}

std::string Variant::name() const {
  const std::string what = single_task() ? "single task " + task : method;
  return setting.empty() ? what : what + " (" + setting + ")";
}

std::vector<std::int64_t> parse_seeds(std::string_view text) {
  constexpr std::int64_t kMost = 10'000;
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::kInvalidArgument,
         "[study::plan] --seeds '{}': {}. Write how many (3: the seeds 0, 1 and 2) or which ones, "
         "with commas between (4,7,11; one alone: 4,).",
         text,
         why);
  };
  std::vector<std::int64_t> seeds;
  if (text.find(',') == std::string_view::npos) {
    const auto count = seed_number(trim(text, kBlanks));
    if (!count || *count < 1 || *count > kMost) refuse("expected a number from 1 to 10000");
    for (std::int64_t seed = 0; seed < *count; ++seed) seeds.push_back(seed);
    return seeds;
  }
  std::vector<std::string> parts = split_outside(text, ",");
  if (parts.back().empty()) parts.pop_back();
  if (parts.empty() || parts.size() > static_cast<std::size_t>(kMost)) {
    refuse("expected 1 to 10000 seeds");
  }
  for (const std::string& part : parts) {
    const auto seed = seed_number(part);
    if (!seed) refuse("'" + part + "' is no seed, a whole number from 0 to 9e15");
    if (std::find(seeds.begin(), seeds.end(), *seed) != seeds.end()) {
      refuse("'" + part + "' is there twice");
    }
    seeds.push_back(*seed);
  }
  return seeds;
}

std::vector<std::vector<std::size_t>> families(std::span<const Variant> variants) {
  std::vector<std::vector<std::size_t>> all;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    const auto [place, added] =
        places.try_emplace({variants[v].method, variants[v].task}, all.size());
    if (added) all.emplace_back();
    all[place->second].push_back(v);
  }
  return all;
}

std::vector<Variant> plan_variants(
    std::span<const MethodSpec> methods,
    std::span<const GridAxis> grid,
    std::span<const Baseline> baselines,
    const std::function<bool(const MethodSpec* method, const GridAxis& axis)>& applies) {
  std::vector<Variant> variants;
  std::set<std::string> folders;
  const auto add = [&](Variant base, const MethodSpec* method) {
    std::vector<const GridAxis*> axes;
    for (const GridAxis& axis : grid) {
      if (applies(method, axis)) axes.push_back(&axis);
    }
    for (const auto& setting : settings_of(axes)) {
      Variant variant = base;
      for (const auto& [key, value] : setting) {
        const std::string text = key + "=" + value;
        variant.overrides.push_back(text);
        variant.setting += (variant.setting.empty() ? "" : ", ") + text;
      }
      const std::string wanted = safe_name(
          variant.setting.empty() ? variant.folder : variant.folder + "-" + variant.setting);
      variant.folder = wanted;
      for (int n = 2; !folders.insert(variant.folder).second; ++n) {
        variant.folder = wanted + "-" + std::to_string(n);
      }
      variants.push_back(std::move(variant));
    }
  };
  for (const MethodSpec& spec : methods) {
    Variant base;
    base.method = spec.label;
    base.folder = spec.label;
    base.overrides.push_back("balance.method=" + spec.method);
    for (const auto& [name, value] : spec.options) {
      base.overrides.push_back("balance." + name + "=" + value);
    }
    add(std::move(base), &spec);
  }
  for (const auto& [task, metric] : baselines) {
    Variant base;
    base.method = "single";
    base.task = task;
    base.folder = "single-" + task;
    // The recipe's own choice of the epoch may name a task that is not trained here.
    base.overrides = {"balance.method=ew",
                      "train.tasks=[" + double_quoted(task) + "]",
                      "train.select=" + double_quoted(task + "." + metric)};
    add(std::move(base), nullptr);
  }
  return variants;
}

}  // namespace detente::study
