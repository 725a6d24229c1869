// SPDX-License-Identifier: Apache-2.0
#include <detente/toy/figure.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace detente::toy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string figure(const ToyProblem& problem, const std::vector<MethodRuns>& methods) {
  return report::to_svg(draw_figure(problem, methods));
}

TEST(ToyFigure, ShowsLandscapesMethodsAndKey) {
  const ToyProblem& problem = find_problem("cagrad");
  std::vector<MethodRuns> methods;
  for (const char* name : {"ew", "mgda"}) {
    const auto method = make_toy_method(problem, name);
    RunOptions options;
    options.steps = 1000;
    methods.push_back(
        {std::string("<") + name + ">",
         {run(problem, *method, {9, 9}, options), run(problem, *method, {0, 0}, options)}});
  }
  const std::string svg = figure(problem, methods);
  for (const char* text : {">Loss 1<",
                           ">Loss 2<",
                           ">Mean of both<",
                           ">&lt;ew&gt;<",
                           ">&lt;mgda&gt;<",
                           ">Pareto set<",
                           ">start<",
                           ">end<",
                           ">1000<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_EQ(count(svg, "<circle"), 4U + 1U);  // four starts and one in the key
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_LT(svg.size(), 2'000'000U);
}

TEST(ToyFigure, GrowsWithTheNumberOfMethods) {
  const ToyProblem& problem = find_problem("pcgrad");
  const RunResult still = run(problem, *make_toy_method(problem, "ew"), {0, 0}, {.steps = 0});
  const auto height = [&](std::size_t n) {
    return draw_figure(problem, std::vector<MethodRuns>(n, {"m", {still}})).height();
  };
  EXPECT_LT(height(0), height(1));
  EXPECT_EQ(height(1), height(5));
  EXPECT_LT(height(5), height(6));
}

TEST(ToyFigure, ShowsManyMethodsAsSmallPanels) {
  const ToyProblem& problem = find_problem("cagrad");
  const RunResult still = run(problem, *make_toy_method(problem, "ew"), {0, 0}, {.steps = 0});
  const auto canvas = [&](std::size_t n) {
    return draw_figure(problem, std::vector<MethodRuns>(n, {"m", {still}}));
  };
  EXPECT_LT(canvas(51).height(), 2 * canvas(10).height());
  const std::string svg = report::to_svg(canvas(51));
  EXPECT_EQ(count(svg, ">m<"), 51U);
  EXPECT_EQ(count(svg, ">10<"), 6U);  // ticks stand at the three landscapes only
  EXPECT_LT(svg.size(), 4'000'000U);
}

TEST(ToyFigure, WidensItsViewToHoldEveryRun) {
  const ToyProblem& problem = find_problem("cagrad");
  const RunResult far = run(problem, *make_toy_method(problem, "ew"), {60, 5}, {.steps = 10});
  EXPECT_THAT(figure(problem, {{"ew", {far}}}), HasSubstr(">60<"));
}

}  // namespace
}  // namespace detente::toy
