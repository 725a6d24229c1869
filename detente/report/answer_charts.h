// SPDX-License-Identifier: Apache-2.0
// What the model answered, as a part of a run's page (answers.h).
#pragma once

#include <detente/report/answers.h>
#include <detente/report/heatmap.h>
#include <detente/report/html_page.h>

#include <string>
#include <vector>

namespace detente::report {

// Colours: of the rows with a true class the share that got an answer; hatched where no row has it. In the
// cells how many. Needs TaskAnswers::confusion.
HeatMap confusion_map(const TaskAnswers& task);

// Bars: the share right (binary: of ones) of the answers whose probability lies in the bin, beside the line
// of what the probabilities promise; below how many answers there are. `marks`: the same in words.
Canvas reliability_picture(const TaskAnswers& task, std::vector<HtmlPage::Mark>& marks);

// Predicted against true, with the line of identity; of no points the axes alone.
Canvas scatter_picture(const OutputAnswers& output, std::vector<HtmlPage::Mark>& marks);

// Everything there is, for the page of a run: a heading, figures, tables and pictures.
void add_answers(HtmlPage& page, const RunAnswers& answers);

// A page of its own for other rows than those of a run's validation. `rows` names them, `results` are
// their metrics.
std::string answers_page(const std::string& run,
                         const std::string& rows,
                         const NamedTables& results,
                         const RunAnswers& answers);

}  // namespace detente::report
