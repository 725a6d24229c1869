// SPDX-License-Identifier: Apache-2.0
// The folder of `detente compare --methods`: what may be in it before, and what says which study it is.
#pragma once

#include <detente/cli/compare_methods.h>
#include <detente/study/written_study.h>
#include <detente/train/recipe.h>

#include <filesystem>
#include <string>

namespace detente::cli {

// Throws where the folder holds something else, which is left alone. What a study makes first is there before
// study.json is, and a study that has lost its study.json gets it again.
void check_study_folder(const std::filesystem::path& out);

// The study's own copy of the recipe: what is changed in the file meanwhile does not mix two studies. Throws
// where the copy there is of another recipe, or damaged.
std::filesystem::path keep_recipe(const train::Recipe& recipe, const std::filesystem::path& out);

// The command that goes on with the study, or makes it again.
std::string command_of(const CompareMethodsFlags& flags);

// study.json: what was asked for, and what is trained for it.
void write_study(const CompareMethodsFlags& flags,
                 const study::WrittenStudy& written,
                 const std::filesystem::path& out);

struct StudyFile {
  CompareMethodsFlags flags;
  std::optional<study::WrittenStudy> written;  // nothing in a file of an earlier version
};
// Throws kData with what to do.
StudyFile read_study(const std::filesystem::path& out);

// Whether a folder that has no study.json looks like a study's all the same.
bool is_bare_study(const std::filesystem::path& folder);

}  // namespace detente::cli
