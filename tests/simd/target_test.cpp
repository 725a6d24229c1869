// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/simd/target.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace detente::simd {
namespace {

using testing::HasSubstr;

std::string message_for(const std::string& name, ErrorCode code) {
  try {
    target_named(name);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "'" << name << "' was taken";
  return "";
}

TEST(Target, IsTheBestWithoutAName) { EXPECT_EQ(target_named(""), available_targets().front()); }

TEST(Target, IsTheOneThatIsNamed) {
  for (const Target one : available_targets()) EXPECT_EQ(target_named(name_of(one)), one);
}

TEST(Target, MindsNoCapitals) {
  for (const Target one : available_targets()) {
    std::string name = name_of(one);
    name.front() = static_cast<char>(std::toupper(name.front()));
    EXPECT_EQ(target_named(name), one);
  }
}

TEST(Target, RefusesAnUnknownNameAndListsWhatThereIs) {
  for (const char* wrong : {"avx9", "AVX 2", " avx2", "best"}) {
    const std::string message = message_for(wrong, ErrorCode::kInvalidArgument);
    EXPECT_THAT(message, HasSubstr(wrong));
    for (const Target one : available_targets()) EXPECT_THAT(message, HasSubstr(name_of(one)));
  }
}

TEST(Target, RefusesOneThatIsNotHere) {
  const auto& here = available_targets();
  for (const Target one : {Target::kSse4, Target::kAvx2, Target::kAvx512, Target::kNeon}) {
    if (std::find(here.begin(), here.end(), one) != here.end()) continue;
    EXPECT_THAT(message_for(name_of(one), ErrorCode::kUnsupported),
                HasSubstr(name_of(here.front())));
    EXPECT_THROW(UseTarget{one}, Error);
  }
}

TEST(UseTarget, EndsWithItsScope) {
  const Target before = target();
  for (const Target one : available_targets()) {
    const UseTarget use(one);
    EXPECT_EQ(target(), one);
  }
  EXPECT_EQ(target(), before);
}

}  // namespace
}  // namespace detente::simd
