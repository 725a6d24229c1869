// SPDX-License-Identifier: Apache-2.0
// "Did you mean ...?": the nearest of the allowed names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace detente {

// Levenshtein distance with adjacent transpositions counted once, bytes as letters.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The allowed name nearest to `name`, in any case of its letters; where none is near enough to be a
// slip of the finger, the only one that begins with `name` (of three letters or more); or "".
std::string nearest_name(std::string_view name, std::span<const std::string> allowed);

// " Did you mean 'x'?" or "" — to be appended to a message.
std::string did_you_mean(std::string_view name, std::span<const std::string> allowed);

// "expected one of: a, b, c." and the hint of did_you_mean: how a message on an unknown name ends.
std::string expected_one_of(std::string_view name, std::span<const std::string> allowed);

// All allowed names, or of more than 64 the ten nearest to `name` and how many more there are.
std::string list_names(std::string_view name, std::span<const std::string> allowed);

// "a, b, c".
std::string join_names(std::span<const std::string> names);

}  // namespace detente
