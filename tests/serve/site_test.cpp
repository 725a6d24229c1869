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

class StudySiteTest : public SiteTest {
 protected:
  static constexpr const char* kStudy =
      R"({"plan": {"title": "made", "command": "detente compare", "test_rows": false,
          "tasks": [{"name": "t", "metrics": [{"name": "f1", "higher_is_better": true}]}],
          "variants": [{"method": "ew", "setting": "", "task": "", "folder": "ew", "overrides": []},
                       {"method": "uw", "setting": "", "task": "", "folder": "uw", "overrides": []}],
          "seeds": [0], "halving": false}})";

  void SetUp() override {
    SiteTest::SetUp();
    fs::remove(temp_.file("comparison.html"));
    for (const char* method : {"ew", "uw"}) {
      fs::create_directories(temp_.path() / "s t/runs" / method / "seed-0");
    }
    temp_.write("s t/study.json", kStudy);
    run("ew", 0.5);
  }
  void run(const std::string& method, double f1) {
    const std::string epoch = R"({"type":"epoch","epoch":1,"step":2,"dev":{"t":{"f1":)" +
                              std::to_string(f1) + "}},\"best\":true}\n";
    temp_.write("s t/runs/" + method + "/seed-0/metrics.jsonl", epoch);
  }
  void result(const std::string& method, const std::string& more) {
    temp_.write("s t/runs/" + method + "/seed-0.json",
                R"({"variant": 0, "seed": 0, )" + more + "}");
  }
  Json status() {
    site_.reset();  // or it would look again after half a second
    return Json::parse(get("/api/study/s%20t").body);
  }
};

TEST_F(StudySiteTest, APageIsThereWhileRunsGoOn) {
  const Json before = status();
  EXPECT_EQ(before.at("status").at("state"), "running");
  EXPECT_EQ(before.at("status").at("ended"), 0);
  EXPECT_EQ(before.at("status").at("runs"), 2);
  const Answer page = get("/study/s%20t");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("0 of 2 runs so far"));
  EXPECT_THAT(page.body, HasSubstr("\"/api/study/s%20t\""));
  EXPECT_THAT(page.body, HasSubstr("data-version=\"" + before.at("version").get<std::string>()));
  EXPECT_THAT(page.body, HasSubstr("href=\"/run/s%20t/runs/ew/seed-0\""));

  result("ew", R"("dev": {"t": {"f1": 0.625}}, "seconds": 1, "ms_per_step": 2)");
  const Json half = status();
  EXPECT_EQ(half.at("status").at("ended"), 1);
  EXPECT_NE(half.at("version"), before.at("version"));
  EXPECT_THAT(get("/study/s%20t").body, HasSubstr("0.6250"));

  result("uw", R"("dev": {}, "failure": "failed: exit code 4")");
  const Json whole = status();
  EXPECT_EQ(whole.at("status").at("state"), "failed");
  EXPECT_EQ(whole.at("status").at("failed"), 1);
  EXPECT_THAT(get("/study/s%20t").body, Not(HasSubstr("so far")));
  EXPECT_THAT(get("/study/s%20t").body, HasSubstr("uw, seed 0: failed: exit code 4"));
  // The list leads to it, and so does the file that was made last.
  const Json list = Json::parse(get("/api/runs").body);
  EXPECT_EQ(list.at("studies").at(0).at("path"), "s%20t");
  temp_.write("s t/comparison.html", "old");
  const Answer file = get("/files/s%20t/comparison.html");
  EXPECT_EQ(file.status, 302);
  EXPECT_THAT(file.headers, testing::Contains(testing::Pair("Location", "/study/s%20t")));
}

TEST_F(StudySiteTest, WithoutAPlanItsPageIsTheFile) {
  for (const std::string text : {"{}", "[", R"({"plan": {"tasks": []}})"}) {
    temp_.write("s t/study.json", text);
    EXPECT_EQ(status().at("status").at("runs"), 0);
    EXPECT_EQ(get("/study/s%20t").status, 404);
    temp_.write("s t/comparison.html", "old");
    EXPECT_EQ(get("/study/s%20t").status, 302);
    EXPECT_EQ(get("/files/s%20t/comparison.html").body, "old");
    fs::remove(temp_.file("s t/comparison.html"));
  }
}

TEST_F(StudySiteTest, NothingOutsideIsRead) {
  // Neither through names in study.json nor through links.
  std::string text = kStudy;
  text.replace(text.find("\"folder\": \"ew\""), 14, "\"folder\": \"..\"");
  temp_.write("s t/study.json", text);
  EXPECT_EQ(status().at("status").at("runs"), 0);
  const test::TempDir other;
  other.write("seed-0.json", R"({"variant": 0, "seed": 0, "dev": {"t": {"f1": 0.4321}}})");
  fs::create_directories(other.path() / "seed-0");
  temp_.write("s t/study.json", kStudy);
  fs::remove_all(temp_.path() / "s t/runs/ew");
  fs::create_directory_symlink(other.path(), temp_.path() / "s t/runs/ew");
  EXPECT_EQ(status().at("status").at("ended"), 0);
  EXPECT_THAT(get("/study/s%20t").body, Not(HasSubstr("0.4321")));
}

TEST_F(SiteTest, RefusesTheRest) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", ""}) {
    EXPECT_EQ(get("/", method).status, 405) << method;
  }
  EXPECT_EQ(get("/", "HEAD").status, 200);
  EXPECT_EQ(get("/../x").status, 400);
  for (const char* target : {"/x",
                             "/api",
                             "/api/x",
                             "/api/runs/x",
                             "/run",
                             "/run/x",
                             "/files/x.html",
                             "/study",
                             "/study/x",
                             "/api/study/a%20b"}) {
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
  EXPECT_THAT(index_page("<b>", false), Not(HasSubstr("<b>")));
}

}  // namespace
}  // namespace detente::serve
