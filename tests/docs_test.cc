// Documents and comments agree with the repository: nothing cites a document, a section, an
// invariant, a file or a test that does not exist. docs/design.md defines the invariants.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = BERTH_SOURCE;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Documents whole; of everything else what stands behind its comment mark.
std::string prose_of(const fs::path& file, const std::string& text) {
  if (file.extension() == ".md") return text;
  static const std::set<std::string> kSlashes{".cc", ".h", ".proto", ".mjs"};
  const std::string_view mark = kSlashes.contains(file.extension().string()) ? "//" : "#";
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    if (const std::size_t comment = line.find(mark); comment != std::string_view::npos)
      out.append(line.substr(comment + mark.size()));
    out.push_back('\n');
    at = end + 1;
  }
  return out;
}

struct File {
  fs::path path;
  std::string text;
  std::string prose;
};

// All that people write here; results of measurements and seeds of fuzzers are not.
const std::vector<File>& all_files() {
  static const std::vector<File> files = [] {
    static const std::set<std::string> kKinds{".cc",   ".h",   ".proto", ".md",  ".py",
                                              ".yaml", ".txt", ".cmake", ".mjs", ""};
    std::vector<File> all;
    const auto add = [&all](const fs::path& p) {
      std::string text = text_of(p);
      std::string prose = prose_of(p, text);
      all.push_back({p, std::move(text), std::move(prose)});
    };
    for (const char* folder :
         {"base", "metrics", "protocol", "session", "front", "sim", "gateway", "tests", "docs",
          "config", "bench", "scripts", "docker", "k8s", "cmake"}) {
      for (auto it = fs::recursive_directory_iterator(kRoot / folder);
           it != fs::recursive_directory_iterator(); ++it) {
        const std::string name = it->path().filename().string();
        if (it->is_directory()) {
          if (name == "results" || name == "seeds" || name == "node_modules" ||
              name == "__pycache__")
            it.disable_recursion_pending();
        } else if (kKinds.contains(it->path().extension().string())) {
          add(it->path());
        }
      }
    }
    for (const char* file : {"README.md", "CMakeLists.txt"}) add(kRoot / file);
    return all;
  }();
  return files;
}

std::string line_at(const std::string& text, std::size_t at) {
  const std::size_t from = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  return text.substr(from, text.find('\n', at) - from);
}

// Each place of `word` where no letter or digit stands beside it.
void for_each_word(const std::string& text, std::string_view word,
                   const std::function<void(std::size_t)>& f) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) f(at);
  }
}

// The numbers of invariants in `text`: I7, and of names of tests I7_… and I1toI4_….
std::vector<std::pair<int, std::size_t>> invariants_in(const std::string& text, bool names) {
  std::vector<std::pair<int, std::size_t>> found;
  for (std::size_t at = text.find('I'); at != std::string::npos; at = text.find('I', at + 1)) {
    std::size_t end = at + 1;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
    if (end == at + 1 || end - at > 4) continue;
    const bool behind_to = names && at >= 2 && text.compare(at - 2, 2, "to") == 0;
    if (at != 0 && is_word(text[at - 1]) && !behind_to) continue;
    const bool ends = end == text.size() || !is_word(text[end]);
    const bool in_name = end < text.size() && (text[end] == '_' || text.compare(end, 2, "to") == 0);
    if (names ? in_name : ends)
      found.emplace_back(std::stoi(text.substr(at + 1, end - at - 1)), at);
  }
  return found;
}

std::string design() {
  return text_of(kRoot / "docs/design.md");
}

// By number: the row of the table in docs/design.md.
std::map<int, std::string> defined_invariants() {
  static const std::regex row("\n\\| I([0-9]+) (\\|[^\n]*)");
  const std::string text = design();
  std::map<int, std::string> rows;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    EXPECT_TRUE(rows.emplace(std::stoi((*it)[1]), (*it)[2]).second) << "twice: I" << (*it)[1];
  }
  return rows;
}

// "Suite.Name" of each test in tests/.
std::set<std::string> all_tests() {
  std::set<std::string> all;
  for (const File& f : all_files()) {
    if (f.path.extension() != ".cc") continue;
    const std::string& text = f.text;
    for (std::size_t at = text.find("TEST"); at != std::string::npos;
         at = text.find("TEST", at + 4)) {
      const std::size_t open = text.find_first_of("( \n", at);
      const std::size_t comma = text.find(',', at);
      const std::size_t close = text.find(')', at);
      if (open == std::string::npos || text[open] != '(' || close == std::string::npos ||
          comma > close)
        continue;
      const std::size_t name = text.find_first_not_of(" \n", comma + 1);
      all.insert(text.substr(open + 1, comma - open - 1) + "." + text.substr(name, close - name));
    }
  }
  return all;
}

// As GitHub makes the anchor of a heading.
std::string anchor_of(std::string_view heading) {
  std::string out;
  for (const char c : heading) {
    if (c == ' ') {
      out.push_back('-');
    } else if (is_word(c) || c == '-' || static_cast<unsigned char>(c) >= 0x80) {
      out.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  return out;
}

std::set<std::string> headings_of(const std::string& text) {
  std::set<std::string> all;
  bool code = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.starts_with("```")) code = !code;
    const std::size_t level = line.find_first_not_of('#');
    if (!code && level != 0 && level < line.size() && line[level] == ' ')
      all.insert(line.substr(level + 1));
    at = end + 1;
  }
  return all;
}

TEST(Docs, CiteOnlyDocumentsThatAreHere) {
  static const std::regex document("[A-Za-z0-9_./-]+\\.md\\b");
  std::set<std::string> decisions;
  for (const auto& e : fs::directory_iterator(kRoot / "docs/adr"))
    decisions.insert(e.path().filename().string().substr(0, 4));
  for (const File& f : all_files()) {
    for (const char* word : {"DESIGN", "CONVENTIONS", "Field lesson", "field lesson"}) {
      for_each_word(f.prose, word, [&](std::size_t at) {
        ADD_FAILURE() << f.path << " cites what is not in the repository: " << line_at(f.prose, at);
      });
    }
    if (f.prose.find(".md") != std::string::npos) {
      for (std::sregex_iterator it(f.prose.begin(), f.prose.end(), document), end; it != end;
           ++it) {
        const std::string name = (*it)[0];
        const bool here = std::any_of(name.begin(), name.end(), [](char c) { return c == '*'; }) ||
                          fs::exists(f.path.parent_path() / name) || fs::exists(kRoot / name) ||
                          fs::exists(kRoot / "docs" / name);
        EXPECT_TRUE(here) << f.path << " names " << name;
      }
    }
    for_each_word(f.prose, "ADR", [&](std::size_t at) {
      std::size_t n = at + 3;
      if (n < f.prose.size() && (f.prose[n] == ' ' || f.prose[n] == '\n')) ++n;
      std::string number;
      while (n < f.prose.size() && std::isdigit(static_cast<unsigned char>(f.prose[n])) != 0)
        number.push_back(f.prose[n++]);
      if (number.empty() || number.size() > 4) return;
      number.insert(0, 4 - number.size(), '0');
      EXPECT_TRUE(decisions.contains(number)) << f.path << ": " << line_at(f.prose, at);
    });
  }
}

TEST(Docs, EveryDecisionIsInTheIndex) {
  const std::string index = text_of(kRoot / "docs/adr/README.md");
  for (const auto& e : fs::directory_iterator(kRoot / "docs/adr")) {
    const std::string name = e.path().filename().string();
    if (name == "README.md") continue;
    EXPECT_NE(index.find("](" + name + ")"), std::string::npos) << name;
  }
}

TEST(Docs, InvariantsThatAreCitedAreDefined) {
  const auto defined = defined_invariants();
  ASSERT_GE(defined.size(), 15u);
  EXPECT_EQ(defined.rbegin()->first, static_cast<int>(defined.size())) << "a number is left out";
  std::size_t cited = 0;
  for (const File& f : all_files()) {
    for (const bool names : {false, true}) {
      const std::string& text = names ? f.text : f.prose;
      for (const auto& [number, at] : invariants_in(text, names)) {
        ++cited;
        EXPECT_TRUE(defined.contains(number))
            << f.path << " cites I" << number << ": " << line_at(text, at);
      }
    }
  }
  EXPECT_GT(cited, 60u);
}

TEST(Docs, TestsOfInvariantsExist) {
  static const std::regex name("`([A-Za-z0-9]+\\.[A-Za-z0-9_]+)`");
  const std::set<std::string> tests = all_tests();
  ASSERT_GT(tests.size(), 500u);
  for (const auto& [number, row] : defined_invariants()) {
    const std::string column = row.substr(row.find_last_of('|', row.size() - 2));
    std::size_t named = 0;
    for (std::sregex_iterator it(column.begin(), column.end(), name), end; it != end; ++it) {
      ++named;
      EXPECT_TRUE(tests.contains((*it)[1])) << "I" << number << " names " << (*it)[1];
    }
    EXPECT_NE(named, 0u) << "I" << number << " has no test";
  }
}

// `Class::name` in docs/design.md and ARCHITECTURE.md: a definition outside of its class, or a name
// in a header that has the class.
TEST(Docs, FunctionsOfTheDesignExist) {
  static const std::regex qualified("`([A-Za-z]+)::([A-Za-z_0-9]+)`");
  const std::string text = design() + text_of(kRoot / "docs/ARCHITECTURE.md");
  std::set<std::pair<std::string, std::string>> names;
  for (std::sregex_iterator it(text.begin(), text.end(), qualified), end; it != end; ++it)
    names.emplace((*it)[1], (*it)[2]);
  EXPECT_GT(names.size(), 40u);
  for (const auto& [type, name] : names) {
    const std::string outside = type + "::" + name;
    const auto has = [&](const File& f) {
      if (f.path.extension() != ".h" && f.path.extension() != ".cc") return false;
      bool found = false;
      for_each_word(f.text, name, [&](std::size_t at) {
        const std::size_t begin = type.size() + 2;
        found = found || (at >= begin && f.text.compare(at - begin, outside.size(), outside) == 0);
      });
      if (found) return true;
      const bool declares = f.text.find("class " + type + " ") != std::string::npos ||
                            f.text.find("struct " + type + " ") != std::string::npos ||
                            f.text.find("enum class " + type + " ") != std::string::npos;
      if (f.path.extension() != ".h" || !declares) return false;
      for_each_word(f.text, name, [&found](std::size_t) { found = true; });
      return found;
    };
    EXPECT_TRUE(std::any_of(all_files().begin(), all_files().end(), has)) << outside;
  }
}

// `path/file.ext` in docs/design.md, and its sections that comments cite.
TEST(Docs, FilesAndSectionsOfTheDesignExist) {
  static const std::regex file("`((?:[a-z0-9_-]+/)+[A-Za-z0-9_.-]+)`");
  const std::string text = design();
  std::size_t files = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), file), end; it != end; ++it) {
    ++files;
    EXPECT_TRUE(fs::exists(kRoot / (*it)[1].str())) << (*it)[1];
  }
  EXPECT_GT(files, 50u);
  static const std::regex section("docs/design\\.md,\\s+\"([^\"]+)\"");
  const std::set<std::string> headings = headings_of(text);
  std::size_t sections = 0;
  for (const File& f : all_files()) {
    if (f.path.extension() == ".md" || f.prose.find("docs/design.md,") == std::string::npos)
      continue;
    for (std::sregex_iterator it(f.prose.begin(), f.prose.end(), section), e; it != e; ++it) {
      ++sections;
      EXPECT_TRUE(headings.contains((*it)[1])) << f.path << " cites \"" << (*it)[1] << "\"";
    }
  }
  EXPECT_GT(sections, 5u);
}

TEST(Docs, LinksLeadSomewhere) {
  static const std::regex link("\\]\\(([^)\\s]+)\\)");
  for (const File& f : all_files()) {
    if (f.path.extension() != ".md") continue;
    for (std::sregex_iterator it(f.text.begin(), f.text.end(), link), end; it != end; ++it) {
      const std::string to = (*it)[1];
      if (to.find("://") != std::string::npos) continue;
      const std::size_t hash = std::min(to.find('#'), to.size());
      const fs::path target = hash == 0 ? f.path : f.path.parent_path() / to.substr(0, hash);
      EXPECT_TRUE(fs::exists(target)) << f.path << " links to " << to;
      if (hash == to.size() || target.extension() != ".md" || !fs::exists(target)) continue;
      bool found = false;
      for (const std::string& h : headings_of(text_of(target)))
        found = found || anchor_of(h) == to.substr(hash + 1);
      EXPECT_TRUE(found) << f.path << " links to " << to;
    }
  }
}

// "section.key" of config/berth.yaml, or of the values of the Helm chart.
std::set<std::string> all_settings(const char* file) {
  static const std::regex line("(  )?([a-z_]+):.*");
  std::set<std::string> all;
  std::istringstream in(text_of(kRoot / file));
  std::string section;
  std::smatch m;
  for (std::string text; std::getline(in, text);) {
    if (!std::regex_match(text, m, line)) continue;
    if (m[1].matched) {
      all.insert(section + "." + m[2].str());
    } else {
      section = m[2];
    }
  }
  return all;
}

TEST(Docs, SettingsThatAreNamedExist) {
  static const std::regex named("`([a-z]+)\\.([a-z_]+)(?:: [^`]*)?`");
  // Files of store.directory, and fields of log lines.
  static const std::set<std::string> kOthers{"admin.token", "registry.db", "store.mark",
                                             "park.proto",  "log.level",   "log.logger"};
  std::set<std::string> settings = all_settings("config/berth.yaml");
  ASSERT_GT(settings.size(), 80u);
  std::set<std::string> sections;
  for (const std::string& s : settings) sections.insert(s.substr(0, s.find('.')));
  settings.merge(all_settings("k8s/chart/berth/values.yaml"));
  std::size_t seen = 0;
  for (const File& f : all_files()) {
    if (f.path.extension() != ".md" || f.path.string().find("/adr/") != std::string::npos) continue;
    for (std::sregex_iterator it(f.text.begin(), f.text.end(), named), end; it != end; ++it) {
      const std::string name = (*it)[1].str() + "." + (*it)[2].str();
      if (!sections.contains((*it)[1]) || kOthers.contains(name)) continue;
      ++seen;
      EXPECT_TRUE(settings.contains(name)) << f.path << " names " << name;
    }
  }
  EXPECT_GT(seen, 150u);
}

// docs/fields.md has each field of the two files, with its number and type, and each enum.
TEST(Docs, FieldsAgreeWithTheirFiles) {
  static const std::regex open("(message|enum) ([A-Za-z]+) \\{");
  static const std::regex field(
      "(?:optional |(repeated ))?([A-Za-z0-9_.]+(?:<[^>]+>)?) ([a-z0-9_]+) = ([0-9]+);.*");
  static const std::regex value("([A-Z_]+) = ([0-9]+);.*");
  const std::string page = text_of(kRoot / "docs/fields.md");
  // The row of a message or an enum; of a body its type stands behind its name and number.
  const auto row_of = [&page](const std::string& name) {
    for (const std::string& begin :
         {"| `" + name + "` |", "| `Ack." + name + "` |", " " + name + " |"}) {
      const std::size_t at = page.find(begin);
      if (at != std::string::npos) return line_at(page, at);
    }
    return std::string();
  };
  std::size_t fields = 0;
  for (const char* file : {"protocol/messages/envelope.proto", "protocol/park/park.proto"}) {
    std::istringstream in(text_of(kRoot / file));
    std::vector<std::string> names;
    std::smatch m;
    for (std::string line; std::getline(in, line);) {
      line.erase(0, line.find_first_not_of(' '));
      if (std::regex_match(line, m, open)) {
        names.push_back(m[2]);
        EXPECT_FALSE(row_of(m[2]).empty()) << "no row of " << m[2];
      } else if (line.starts_with("oneof ")) {
        names.push_back(names.back());
      } else if (line == "}") {
        names.pop_back();
      } else if (std::regex_match(line, m, field)) {
        std::string type = m[2];
        if (type.starts_with("google.protobuf."))
          type.erase(0, std::string("google.protobuf.").size());
        const std::string text =
            "`" + m[3].str() + "` " + m[4].str() + " " + (m[1].matched ? "repeated " : "") + type;
        const bool body = names.back() == "Envelope" && std::stoi(m[4]) >= 20;
        ++fields;
        EXPECT_NE((body ? page : row_of(names.back())).find(text), std::string::npos)
            << names.back() << ": " << text;
      } else if (std::regex_match(line, m, value)) {
        EXPECT_NE(row_of(names.back()).find("`" + m[1].str() + "` " + m[2].str()),
                  std::string::npos)
            << names.back() << ": " << m[1];
      }
    }
  }
  EXPECT_GT(fields, 120u);
}

// docs/api.md has each code of an error with its status and title, and no other.
TEST(Docs, CodesOfErrorsAgreeWithTheirHeader) {
  static const std::regex code("ErrorCode k\\w+\\{\\s*\"(\\w+)\",\\s*(\\d+),\\s*\"([^\"]+)\"");
  static const std::regex row("\n\\| `(\\w+)` \\| (\\d\\d\\d) \\| ([^|]+) \\|");
  const auto found = [](const std::string& text, const std::regex& what) {
    std::set<std::string> all;
    for (std::sregex_iterator it(text.begin(), text.end(), what), end; it != end; ++it)
      all.insert((*it)[1].str() + " " + (*it)[2].str() + " " + (*it)[3].str());
    return all;
  };
  const auto codes = found(text_of(kRoot / "gateway/admin/problem.h"), code);
  EXPECT_GT(codes.size(), 20u);
  EXPECT_EQ(codes, found(text_of(kRoot / "docs/api.md"), row));
}

}  // namespace
