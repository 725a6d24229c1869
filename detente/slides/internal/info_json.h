// SPDX-License-Identifier: Apache-2.0
// A SlideInfo on its way from a worker, which may say anything: what comes out has been checked.
#pragma once

#include <detente/slides/slide.h>

#include <optional>
#include <string>
#include <string_view>

namespace detente::slides::internal {

std::string text_of(const SlideInfo& info);
// Nothing where the text is no SlideInfo within the limits of openslide.h.
std::optional<SlideInfo> info_of(std::string_view text);

}  // namespace detente::slides::internal
