// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json.h>
#include <detente/serve/pages.h>
#include <detente/serve/site.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <filesystem>
#include <map>

namespace detente::serve {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class SiteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(temp_.path() / "a b");
    temp_.write("a b/metrics.jsonl",
                R"({"type":"step","epoch":1,"step":3,"losses":{"</script>":1}})"
                "\n");
    temp_.write("comparison.html", "<p>study");
  }
  Answer get(const std::string& target, const std::string& method = "GET") {
    return site().answer({method, target, {"localhost:80"}});
  }
  Site& site() {
    if (!site_) site_ = std::make_unique<Site>(temp_.path(), 80);
    return *site_;
  }

  test::TempDir temp_;
  std::unique_ptr<Site> site_;
};

TEST_F(SiteTest, AnswersWhatItSays) {
  EXPECT_THAT(get("/").body, HasSubstr("/files/comparison.html"));
  EXPECT_EQ(get("/files/comparison.html").body, "<p>study");
  const Answer page = get("/run/a%20b");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("\"/api/run/a%20b\""));
  EXPECT_THAT(page.body, HasSubstr("&lt;/script&gt;"));
  const Json runs = Json::parse(get("/api/runs").body);
  EXPECT_EQ(runs.at("runs").at(0).at("path"), "a%20b");
  EXPECT_EQ(Json::parse(get("/api/run/a%20b").body).at("status").at("step"), 3);
}

TEST_F(SiteTest, RefusesTheRest) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", ""}) {
    EXPECT_EQ(get("/", method).status, 405) << method;
  }
  EXPECT_EQ(get("/", "HEAD").status, 200);
  EXPECT_EQ(get("/../x").status, 400);
  for (const char* target :
       {"/x", "/api", "/api/x", "/api/runs/x", "/run", "/run/x", "/files/x.html"}) {
    EXPECT_EQ(get(target).status, 404) << target;
  }
  using Hosts = std::vector<std::string>;
  for (const Hosts& hosts : {Hosts{}, Hosts{"evil"}, Hosts{"localhost", "localhost"}}) {
    EXPECT_EQ(site().answer({"GET", "/", hosts}).status, 403);
  }
}

TEST_F(SiteTest, EveryAnswerIsGuarded) {
  for (const char* target :
       {"/", "/run/a%20b", "/api/runs", "/files/comparison.html", "/none", "/../"}) {
    std::map<std::string, int> count;
    for (const auto& [name, value] : get(target).headers) ++count[name];
    for (const char* name :
         {"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"}) {
      EXPECT_EQ(count[name], 1) << target << " " << name;
    }
  }
}

TEST(Pages, ScriptStandsInTheBodyAndCannotBeLeft) {
  const std::string page = with_live_script(
      "<html><body><main>x</main></body></html>", "/api/run/</script>", "1 \"2\"", 2);
  EXPECT_THAT(page, HasSubstr("</script>\n</body></html>"));
  EXPECT_THAT(page, Not(HasSubstr("/api/run/</script>")));
  EXPECT_THAT(page, HasSubstr("data-version=\"1 &quot;2&quot;\""));
  EXPECT_THAT(index_page("<b>", false, true), Not(HasSubstr("<b>")));
}

}  // namespace
}  // namespace detente::serve
