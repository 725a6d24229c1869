// SPDX-License-Identifier: Apache-2.0
// Examples of maps as pictures: what went in, what is true, what was answered.
#pragma once

#include <detente/report/answer_summary.h>
#include <detente/report/answers.h>
#include <detente/report/pixels.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::report {

// One task's maps of one example, plane after plane of height × width, rows from the top: ids (segmentation,
// classes, ordinal), numbers, or three planes of normals. NaN: no target there, no answer.
struct MapExample {
  std::vector<double> truth;
  std::vector<double> answer;
  Pixels under =
      {};  // what it lies over, to shine through, and what is shown where nothing is known
};

struct MapExamples {
  std::size_t task = 0;  // its place in RunAnswers::tasks, which gives the kind
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<MapExample> examples;
  AnswerNames classes;  // of ids
};

struct ShownInput {
  std::uint64_t row = 0;  // from 1
  Pixels pixels;          // of no size: no picture
  std::string name = {};
};

// Rows to show, at most kMostExamples and evenly chosen, ascending, of those that the most tasks have a
// target for. `has`: a row of truths per task, all of one length.
std::vector<std::size_t> shown_rows(const std::vector<std::vector<bool>>& has);

// Puts the pictures into `answers`, as large as kMostPictures allows and no longer than 192 pixels; each
// of `maps` has as many examples as there are inputs. Throws kShape where a map has another size.
void add_pictures(RunAnswers& answers,
                  std::span<const ShownInput> inputs,
                  std::span<const MapExamples> maps);

}  // namespace detente::report
