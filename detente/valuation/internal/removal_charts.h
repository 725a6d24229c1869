// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/report/html_page.h>
#include <detente/valuation/removal.h>

#include <vector>

namespace detente::valuation::internal {

// The page's part on what is lost when examples are removed; nothing where no curve has a point.
void add_removal(report::HtmlPage& page, const std::vector<RemovalCurve>& curves);

}  // namespace detente::valuation::internal
