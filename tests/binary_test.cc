// The product's ELF file: what docs/security.md ("The binary") says of it is true. Reads the file
// itself, so that neither binutils nor a running gateway is needed.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Elf {
 public:
  explicit Elf(const std::string& path) : bytes_(read_file(path)) {
    if (bytes_.size() < sizeof header_ || bytes_.compare(0, SELFMAG, ELFMAG) != 0) return;
    header_ = at<Elf64_Ehdr>(0);
    for (int i = 0; i < header_.e_phnum; ++i)
      segments_.push_back(
          at<Elf64_Phdr>(header_.e_phoff + static_cast<std::size_t>(i) * sizeof(Elf64_Phdr)));
    for (int i = 0; i < header_.e_shnum; ++i)
      sections_.push_back(
          at<Elf64_Shdr>(header_.e_shoff + static_cast<std::size_t>(i) * sizeof(Elf64_Shdr)));
  }
  const Elf64_Ehdr& header() const { return header_; }
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }
  bool has(std::uint32_t type) const {
    for (const auto& s : segments_)
      if (s.p_type == type) return true;
    return false;
  }
  // Of the dynamic section; 0: there is none.
  std::uint64_t dynamic(std::int64_t tag) const {
    for (const auto& s : segments_) {
      if (s.p_type != PT_DYNAMIC) continue;
      for (std::size_t p = s.p_offset; p + sizeof(Elf64_Dyn) <= s.p_offset + s.p_filesz;
           p += sizeof(Elf64_Dyn)) {
        const auto d = at<Elf64_Dyn>(p);
        if (d.d_tag == tag) return d.d_un.d_val;
      }
    }
    return 0;
  }
  // Names of what is taken from shared libraries.
  std::set<std::string> imports() const {
    std::set<std::string> names;
    for (const auto& s : sections_) {
      if (s.sh_type != SHT_DYNSYM) continue;
      const std::size_t strings = sections_.at(s.sh_link).sh_offset;
      for (std::size_t p = s.sh_offset; p < s.sh_offset + s.sh_size; p += sizeof(Elf64_Sym)) {
        const auto symbol = at<Elf64_Sym>(p);
        if (symbol.st_shndx == SHN_UNDEF) names.insert(bytes_.c_str() + strings + symbol.st_name);
      }
    }
    return names;
  }
  // How often `code` stands in what can be executed.
  std::size_t occurrences(const std::string& code) const {
    std::size_t n = 0;
    for (const auto& s : segments_) {
      if (s.p_type != PT_LOAD || (s.p_flags & PF_X) == 0) continue;
      const std::string part = bytes_.substr(s.p_offset, s.p_filesz);
      for (std::size_t i = 0; (i = part.find(code, i)) != std::string::npos; ++i) ++n;
    }
    return n;
  }
  bool contains(const std::string& text) const { return bytes_.find(text) != std::string::npos; }

 private:
  template <class T>
  T at(std::size_t offset) const {
    T t{};
    if (offset + sizeof t <= bytes_.size()) std::memcpy(&t, bytes_.data() + offset, sizeof t);
    return t;
  }
  std::string bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
};

std::string product() {
  const char* b = std::getenv("BERTH_BINARY");
  return b != nullptr ? b : BERTH_BINARY_DEFAULT;
}

TEST(Binary, FaultsOfTestsAreNotInTheProduct) {
  EXPECT_FALSE(Elf(product()).contains("BERTH_FAULT_TOPIC"));
  EXPECT_FALSE(Elf(product()).contains("BERTH_FAULT_FORWARDED"));
  EXPECT_TRUE(Elf(BERTH_FAULTS_BINARY).contains("BERTH_FAULT_TOPIC"));
}

class Hardened : public ::testing::Test {
 protected:
  void SetUp() override {
    if (BERTH_HARDENED == 0) GTEST_SKIP() << "a build for sanitizers";
    ASSERT_EQ(elf_.header().e_ident[EI_CLASS], ELFCLASS64);
  }
  const Elf elf_{product()};
};

TEST_F(Hardened, IsLoadedAnywhereAndNothingIsWritableAndExecutable) {
  EXPECT_EQ(elf_.header().e_type, ET_DYN);
  EXPECT_TRUE(elf_.dynamic(DT_FLAGS_1) & DF_1_PIE);
  EXPECT_TRUE(elf_.has(PT_GNU_STACK));
  for (const auto& s : elf_.segments())
    EXPECT_FALSE((s.p_flags & PF_W) && (s.p_flags & PF_X)) << "segment of type " << s.p_type;
}

TEST_F(Hardened, RelocationsAreDoneAtStartAndReadOnlyAfterwards) {
  EXPECT_TRUE(elf_.has(PT_GNU_RELRO));
  EXPECT_TRUE((elf_.dynamic(DT_FLAGS) & DF_BIND_NOW) || (elf_.dynamic(DT_FLAGS_1) & DF_1_NOW));
}

TEST_F(Hardened, LibrariesAreThoseOfTheSystem) {
  EXPECT_EQ(elf_.dynamic(DT_RPATH), 0U);
  EXPECT_EQ(elf_.dynamic(DT_RUNPATH), 0U);
}

TEST_F(Hardened, StackAndBuffersAreChecked) {
  if (BERTH_CHECKED_CODE == 0) GTEST_SKIP() << "BERTH_CHECKED_CODE is off";
  const auto imports = elf_.imports();
  EXPECT_TRUE(imports.contains("__stack_chk_fail"));
  EXPECT_TRUE(imports.contains("_ZSt21__glibcxx_assert_failPKciS0_S0_")) << "_GLIBCXX_ASSERTIONS";
  std::string checked;
  for (const std::string& name : imports) {
    if (name.starts_with("__") && name.ends_with("_chk")) checked += name + " ";
  }
  EXPECT_NE(checked.find("__memcpy_chk"), std::string::npos) << "_FORTIFY_SOURCE: " << checked;
}

TEST_F(Hardened, IndirectBranchesHaveLandingPads) {
  if (BERTH_CHECKED_CODE == 0) GTEST_SKIP() << "BERTH_CHECKED_CODE is off";
#if defined(__x86_64__)
  EXPECT_GT(elf_.occurrences("\xf3\x0f\x1e\xfa"), 1000U) << "endbr64: -fcf-protection";
#else
  GTEST_SKIP() << "only of x86-64";
#endif
}

}  // namespace
