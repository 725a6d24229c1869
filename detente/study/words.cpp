// SPDX-License-Identifier: Apache-2.0
#include <detente/study/words.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <tuple>
#include <utility>

namespace detente::study {
namespace {

constexpr double kAlpha = 0.05;
// More of one kind are said in one sentence.
constexpr std::size_t kSaidOneByOne = 2;

// "p = 0.012", "p < 0.0001".
std::string p_text(double p) { return p < 1e-4 ? "p < 0.0001" : fmt::format("p = {:.2g}", p); }

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

bool is_better(const Verdict& v) { return (v.test.difference.mean > 0) == v.higher_is_better; }

// "0.012 to 0.3", or one number where they print alike.
std::string range_text(const std::string& low, const std::string& high) {
  return low == high ? low : low + " to " + high;
}

double half_of(const metrics::Estimate& estimate) { return (estimate.high - estimate.low) / 2; }

// What of all comparisons a reader looks for first.
std::vector<std::string> summary(const Analysis& analysis) {
  std::vector<std::string> sentences;
  std::size_t judged = 0;
  bool any_better = false;
  for (const MethodSummary& method : analysis.methods) {
    std::vector<std::string> better;
    std::vector<std::string> worse;
    for (const Verdict& v : analysis.verdicts) {
      if (v.method != method.method) continue;
      if (v.test.difference.n > 1) ++judged;
      if (is_found(v)) (is_better(v) ? better : worse).push_back(v.task);
    }
    if (better.empty()) continue;
    any_better = true;
    sentences.push_back(worse.empty()
                            ? fmt::format("{} was found better than {} on {} and worse on nothing.",
                                          method.method,
                                          analysis.reference,
                                          listed(better))
                            : fmt::format("{} was found better than {} on {}, worse on {}.",
                                          method.method,
                                          analysis.reference,
                                          listed(better),
                                          listed(worse)));
  }
  // Of two methods the sentences below say it.
  if (judged > 0 && !any_better && analysis.methods.size() > 2) {
    sentences.push_back(
        fmt::format("No method was found better than {} on any task.", analysis.reference));
  }
  return sentences;
}

// Of one task: methods of which no difference was found.
void add_not_found(const std::vector<const Verdict*>& none, std::vector<std::string>& sentences) {
  if (none.size() <= kSaidOneByOne) {
    for (const Verdict* v : none) sentences.push_back(v->text);
    return;
  }
  std::vector<std::string> names;
  const auto by_mean = [](const Verdict* a, const Verdict* b) {
    return a->test.difference.mean < b->test.difference.mean;
  };
  const auto by_detectable = [](const Verdict* a, const Verdict* b) {
    return a->detectable < b->detectable;
  };
  for (const Verdict* v : none) names.push_back(v->method);
  const auto [low, high] = std::minmax_element(none.begin(), none.end(), by_mean);
  const auto [fine, coarse] = std::minmax_element(none.begin(), none.end(), by_detectable);
  const Verdict& first = *none.front();
  sentences.push_back(
      fmt::format("No difference found on {} ({}) between {} and {}: {}; so many seeds show "
                  "differences of {} four times in five.",
                  first.task,
                  first.metric,
                  first.reference,
                  listed(names),
                  range_text(spread_text((*low)->test.difference.mean, (*fine)->detectable).mean,
                             spread_text((*high)->test.difference.mean, (*fine)->detectable).mean),
                  range_text(spread_text(0, (*fine)->detectable).half,
                             spread_text(0, (*coarse)->detectable).half)));
}

// Of one task: methods that have no seed in common with the reference.
void add_undefined(const std::vector<const Verdict*>& undefined,
                   std::vector<std::string>& sentences) {
  if (undefined.size() <= kSaidOneByOne) {
    for (const Verdict* v : undefined) sentences.push_back(v->text);
    return;
  }
  std::vector<std::string> names;
  for (const Verdict* v : undefined) names.push_back(v->method);
  const Verdict& first = *undefined.front();
  sentences.push_back(
      fmt::format("{} cannot be compared with {} on {} ({}): no seed has a value of both.",
                  listed(names),
                  first.reference,
                  first.task,
                  first.metric));
}

// What a step takes more or less than one of the reference, over seeds. A difference within its interval is
// called none.
void add_step_times(const Analysis& analysis, std::vector<std::string>& sentences) {
  std::vector<const MethodSummary*> one_seed;
  std::vector<const MethodSummary*> apart;
  std::vector<const MethodSummary*> alike;
  for (const MethodSummary& method : analysis.methods) {
    const metrics::Estimate& change = method.step_change;
    if (method.method == analysis.reference || !std::isfinite(change.mean)) continue;
    if (change.n < 2) {
      one_seed.push_back(&method);
    } else {
      (change.low > 0 || change.high < 0 ? apart : alike).push_back(&method);
    }
  }
  const auto text = [](const MethodSummary* method) {
    const metrics::Estimate& change = method->step_change;
    const char* way = change.mean < 0 ? "less" : "more";
    const double size = std::abs(change.mean);
    if (change.n < 2) return fmt::format("{:.0f} % {}", size, way);
    if (half_of(change) == 0) return fmt::format("{:.0f} ± 0 % {}", size, way);
    const SpreadText numbers = spread_text(size, half_of(change));
    return fmt::format("{} ± {} % {}", numbers.mean, numbers.half, way);
  };
  const auto say = [&](const std::vector<const MethodSummary*>& methods, const char* end) {
    if (methods.size() <= kSaidOneByOne) {
      for (const MethodSummary* method : methods) {
        sentences.push_back(fmt::format("A step of {} takes {} time than one of {}{}.",
                                        method->method,
                                        text(method),
                                        analysis.reference,
                                        end));
      }
      return;
    }
    const auto [least, most] =
        std::minmax_element(methods.begin(), methods.end(), [](const auto* a, const auto* b) {
          return a->step_change.mean < b->step_change.mean;
        });
    sentences.push_back(fmt::format("A step takes {} ({}) to {} ({}) time than one of {}{}.",
                                    text(*least),
                                    (*least)->method,
                                    text(*most),
                                    (*most)->method,
                                    analysis.reference,
                                    end));
  };
  say(apart, "");
  say(one_seed, " with the one seed that both have: no interval");
  if (alike.empty()) return;
  std::vector<std::string> names;
  for (const MethodSummary* method : alike) {
    names.push_back(fmt::format("{} ({})", method->method, text(method)));
  }
  sentences.push_back(
      fmt::format("A step of {} is not told apart in time from one of {}: the "
                  "difference lies within its spread over the seeds.",
                  listed(names),
                  analysis.reference));
}

// "a=1, b=2" as its parts; nothing for values that are no numbers.
std::map<std::string, std::pair<double, std::string>> numbers_of(const std::string& setting) {
  std::map<std::string, std::pair<double, std::string>> numbers;
  for (std::size_t begin = 0; begin < setting.size();) {
    const std::size_t end = std::min(setting.find(", ", begin), setting.size());
    const std::string part = setting.substr(begin, end - begin);
    begin = end + 2;
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) continue;
    const std::string text = part.substr(equals + 1);
    char* rest = nullptr;
    const double number = std::strtod(text.c_str(), &rest);
    if (rest == text.c_str() || *rest != '\0' || !std::isfinite(number)) continue;
    numbers[part.substr(0, equals)] = {number, text};
  }
  return numbers;
}

}  // namespace

bool is_found(const Verdict& verdict) { return verdict.p_holm <= kAlpha; }

std::string score_text(double value) {
  if (std::isnan(value)) return "undefined";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-6 || size >= 1e5)) return fmt::format("{:.1e}", value);
  if (size != 0 && size < 0.01)
    return fmt::format("{:.{}f}", value, 1 - static_cast<int>(std::floor(std::log10(size))));
  return fmt::format("{:.4f}", value);
}

SpreadText spread_text(double mean, double half) {
  if (std::isnan(mean) || std::isnan(half)) return {score_text(mean), ""};
  if (half == 0) return {score_text(mean), "0"};
  const auto exponent = [](double value) {
    return static_cast<int>(std::floor(std::log10(std::abs(value))));
  };
  const int place = exponent(half) - 1;  // of the last digit
  const double size = std::max(std::abs(mean), half);
  if (size >= 1e6 || size < 1e-4 || !std::isfinite(size)) {
    const int digits = mean == 0 || !std::isfinite(size) ? 1 : exponent(mean) - place;
    return {fmt::format("{:.{}e}", mean, std::clamp(digits, 0, 6)), fmt::format("{:.1e}", half)};
  }
  const int decimals = std::clamp(-place, 0, 6);
  std::string text = fmt::format("{:.{}f}", mean, decimals);
  if (text.find_first_not_of("-0.") == std::string::npos && text.front() == '-') text.erase(0, 1);
  return {text, -place > 6 ? fmt::format("{:.1e}", half) : fmt::format("{:.{}f}", half, decimals)};
}

std::string estimate_text(double mean, double half) {
  const SpreadText text = spread_text(mean, half);
  if (text.half.empty()) return text.mean;
  return text.mean + " ± " + text.half + (half == 0 ? " (all seeds the same)" : "");
}

std::string verdict_text(const Verdict& v, std::size_t family) {
  const std::string what = fmt::format("{} ({})", v.task, v.metric);
  const metrics::Estimate& d = v.test.difference;
  if (d.n == 0) {
    return fmt::format("{} and {} cannot be compared on {}: no seed has a value of both.",
                       v.method,
                       v.reference,
                       what);
  }
  if (d.n == 1) {
    return fmt::format(
        "{} is {} {} than {} on {} with the one seed that both have; one seed says nothing about "
        "the next: no interval.",
        v.method,
        score_text(std::abs(d.mean)),
        d.mean < 0 ? "lower" : "higher",
        v.reference,
        what);
  }
  const double half = half_of(d);
  if (is_found(v)) {
    return fmt::format(
        "{} is {} than {} on {}: by {} ({}{}).",
        v.method,
        is_better(v) ? "better" : "worse",
        v.reference,
        what,
        estimate_text(std::abs(d.mean), half),
        p_text(v.p_holm),
        family > 1 ? fmt::format(" after correction for {} comparisons", family) : "");
  }
  return fmt::format(
      "No difference found between {} and {} on {}: {} ({}); {} seeds show differences of {} four "
      "times in five.",
      v.method,
      v.reference,
      what,
      estimate_text(d.mean, half),
      p_text(v.p_holm),
      d.n,
      spread_text(0, v.detectable).half);
}

std::vector<std::string> sentences_of(const Analysis& analysis) {
  std::vector<std::string> sentences = summary(analysis);
  std::vector<std::string> tasks;
  for (const Verdict& v : analysis.verdicts) {
    if (is_found(v)) sentences.push_back(v.text);
    if (std::find(tasks.begin(), tasks.end(), v.task) == tasks.end()) tasks.push_back(v.task);
  }
  for (const std::string& task : tasks) {
    std::vector<const Verdict*> none;
    std::vector<const Verdict*> undefined;
    for (const Verdict& v : analysis.verdicts) {
      if (v.task != task || is_found(v)) continue;
      if (v.test.difference.n == 1) {
        sentences.push_back(v.text);
      } else {
        (v.test.difference.n == 0 ? undefined : none).push_back(&v);
      }
    }
    add_not_found(none, sentences);
    add_undefined(undefined, sentences);
  }
  add_step_times(analysis, sentences);
  return sentences;
}

std::vector<std::string> edge_notes(std::span<const Variant> variants,
                                    std::span<const std::size_t> chosen) {
  // Key, which end, its text → names.
  std::map<std::tuple<std::string, bool, std::string>, std::vector<std::string>> found;
  for (const auto& family : families(variants)) {
    const auto mine =
        std::find_first_of(chosen.begin(), chosen.end(), family.begin(), family.end());
    if (mine == chosen.end()) continue;
    for (const auto& [key, own] : numbers_of(variants[*mine].setting)) {
      bool lowest = true;
      bool highest = true;
      for (const std::size_t v : family) {
        const auto others = numbers_of(variants[v].setting);
        const auto other = others.find(key);
        if (other == others.end()) continue;
        lowest = lowest && own.first <= other->second.first;
        highest = highest && own.first >= other->second.first;
      }
      if (lowest == highest) continue;  // one value alone, or one between others
      const Variant& variant = variants[*mine];
      found[{key, highest, own.second}].push_back(
          variant.single_task() ? "the baseline of " + variant.task : variant.method);
    }
  }
  std::vector<std::string> notes;
  for (const auto& [what, names] : found) {
    const auto& [key, highest, value] = what;
    notes.push_back(fmt::format(
        "{} = {} is the {} that was tried and was chosen for {}: the best may lie beyond. "
        "A wider --grid tells.",
        key,
        value,
        highest ? "largest" : "smallest",
        listed(names)));
  }
  return notes;
}

}  // namespace detente::study
