# The files of the console in the binary: BERTH_CONSOLE_SOURCES. Each is a .gz beside its original in BERTH_CONSOLE (`files` lists
# them, as scripts/build-console has written it).
set(BERTH_CONSOLE ${CMAKE_SOURCE_DIR}/build/console/dist CACHE PATH "The console's bundle, made by scripts/build-console")
set(console_table "")
set(console_assembly "")
set(console_count 0)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${BERTH_CONSOLE}/files)
if(EXISTS ${BERTH_CONSOLE}/files)
  file(STRINGS ${BERTH_CONSOLE}/files console_files)
  foreach(line ${console_files})  # PATH TYPE SIZE FILE
    string(REPLACE " " ";" line "${line}")
    list(GET line 0 path)
    list(GET line 1 type)
    list(GET line 2 size)
    list(GET line 3 file)
    string(REPLACE "," "; " type "${type}")
    string(APPEND console_assembly "  .global berth_console_${console_count}\n  .global berth_console_${console_count}_end\n"
      "berth_console_${console_count}:\n  .incbin \"${BERTH_CONSOLE}/${file}\"\nberth_console_${console_count}_end:\n")
    string(APPEND console_declared "extern \"C\" const char berth_console_${console_count}[];\nextern \"C\" const char berth_console_${console_count}_end[];\n")
    string(APPEND console_table "    {\"${path}\", \"${type}\", between(berth_console_${console_count}, berth_console_${console_count}_end), ${size}},\n")
    math(EXPR console_count "${console_count} + 1")
    list(APPEND console_content ${BERTH_CONSOLE}/${file})
  endforeach()
else()
  message(STATUS "Without the console: scripts/build-console has not run")
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/console/files.S @ONLY CONTENT
  "  .section .rodata\n@console_assembly@  .section .note.GNU-stack,\"\",%progbits\n")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/console/files.cc @ONLY CONTENT
"#include \"gateway/console/console.h\"
@console_declared@
namespace berth::gateway::console {
namespace {
[[maybe_unused]] std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}
const Asset kFiles[] = {
@console_table@    {}};
}  // namespace
const Asset* const kAssets = kFiles;
const std::size_t kAssetCount = @console_count@;
}  // namespace berth::gateway::console
")
set(BERTH_CONSOLE_SOURCES ${CMAKE_BINARY_DIR}/generated/console/files.S ${CMAKE_BINARY_DIR}/generated/console/files.cc)
set_source_files_properties(${CMAKE_BINARY_DIR}/generated/console/files.S PROPERTIES OBJECT_DEPENDS "${console_content}")
