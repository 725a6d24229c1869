// SPDX-License-Identifier: Apache-2.0
// What a study's folder says of the study, so that its tables and its page are made from the folder alone, by
// whoever looks at it: without the data, and without what reads recipes.
#pragma once

#include <detente/core/json.h>
#include <detente/study/results.h>
#include <detente/study/study_page.h>
#include <detente/study/sweep.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace detente::study {

struct WrittenStudy {
  PageFacts facts;  // the recipe's text is a file of its own and not written here
  std::vector<StudyTask> tasks;
  std::vector<Variant> variants;
  std::vector<std::int64_t> seeds;
  bool halving = false;

  Json to_json() const;
  // Nothing for what is none, or has more than 20,000 runs, a folder that is no plain name, or a task
  // without a metric.
  static std::optional<WrittenStudy> from_json(const Json& json);
};

Json to_json(const Variant& variant);
// Throws Json::exception for what is none.
Variant variant_from(const Json& json);

// What the results that are there say.
struct StudyFindings {
  std::vector<std::size_t> chosen;
  Analysis analysis;
  std::size_t ended = 0;   // runs with a result
  std::size_t failed = 0;  // of these
  std::size_t runs = 0;    // in all; of a study by halving as many as are known to come
  bool untested = false;   // test rows are still to be measured
};
StudyFindings findings_of(const WrittenStudy& study, std::span<const RunResult> results);

// study_page of these, with `facts` for what is not done yet.
std::string study_page(const WrittenStudy& study,
                       const StudyFindings& findings,
                       const PageRuns& runs);

}  // namespace detente::study
