// SPDX-License-Identifier: Apache-2.0
// What the server adds to the pages that reports are made of: the list of runs, and the script by which a
// page renews itself.
#pragma once

#include <string>

namespace detente::serve {

// A page of report::HtmlPage that asks `api` every `refresh` seconds whether there is another version and
// then puts the new content in its place; position, opened parts and colours stay. `version` is its own.
std::string with_live_script(std::string page,
                             const std::string& api,
                             const std::string& version,
                             double refresh);

// The list of runs and studies; its rows come from /api/runs. `has_comparison`: of runs that are no study.
std::string index_page(const std::string& folder, bool has_comparison);

// A few words as a page of their own.
std::string message_page(const std::string& title, const std::string& text);

}  // namespace detente::serve
