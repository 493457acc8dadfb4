# What makes a memory fault of ours end the process instead of serving an attacker (docs/security.md, The binary). Not under
# sanitizers, which see more.
set(BERTH_HARDEN ON)
if(BERTH_SANITIZE OR BERTH_FUZZ)
  set(BERTH_HARDEN OFF)
endif()
# Checks in the code itself. They cost 5 to 8 % of the instructions of a PUBLISH through the Broker (docs/security.md).
option(BERTH_CHECKED_CODE "Stack protector, _FORTIFY_SOURCE, CET, assertions of the standard library" ON)
add_library(berth_hardening INTERFACE)
if(BERTH_HARDEN AND BERTH_CHECKED_CODE)
  set(fortify 3)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    set(fortify 2)
  endif()
  target_compile_options(berth_hardening INTERFACE -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify})
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(berth_hardening INTERFACE -fcf-protection)
  endif()
  target_compile_definitions(berth_hardening INTERFACE _GLIBCXX_ASSERTIONS)
endif()

# One library per folder: berth_library(NAME base SRCS … DEPS …) makes berth_base, alias berth::base. COLD: berth_cold().
add_library(berth_options INTERFACE)
target_compile_features(berth_options INTERFACE cxx_std_20)
target_include_directories(berth_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(berth_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # GCC 12 takes Asio's coroutine frames for mismatched, by how it inlines them
  target_compile_options(berth_options INTERFACE -Wno-mismatched-new-delete)
endif()
if(BERTH_WERROR)
  target_compile_options(berth_options INTERFACE -Werror)
endif()
if(BERTH_SANITIZE)
  target_compile_options(berth_options INTERFACE -fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(berth_options INTERFACE -fsanitize=${BERTH_SANITIZE})
  # UBSan looks at an object's type through a pipe: it cries wolf where a test leaves no descriptor.
  target_compile_options(berth_options INTERFACE -fno-sanitize=vptr)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # false alarms in the standard library under -fsanitize
    target_compile_options(berth_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  if(BERTH_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(berth_options INTERFACE -Wno-tsan)
  endif()
endif()
if(BERTH_FUZZ)
  target_compile_options(berth_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(berth_options INTERFACE -fsanitize=address,undefined)
endif()
target_compile_definitions(berth_options INTERFACE
  SPDLOG_FMT_EXTERNAL SPDLOG_COMPILED_LIB BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_ERROR_CODE_HEADER_ONLY)
if(BERTH_HARDEN)
  target_link_options(berth_options INTERFACE -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
find_program(MOLD mold)
if(MOLD)
  target_link_options(berth_options INTERFACE -fuse-ld=mold)
endif()

# A build from nothing: several files are one translation unit, so that what they include is read and instantiated once, and
# the headers of others are compiled once (docs/HACKING.md has the figures). A build that is often made anew is better off
# without: one changed file compiles its whole unit, and ccache does not work with precompiled headers.
option(BERTH_UNITY "Unity build and precompiled headers, for a build from nothing" OFF)
set(BERTH_UNITY_FILES 25 CACHE STRING "How many files are one translation unit")
if(BERTH_UNITY)
  # g++ warns in headers of the system too if they are precompiled, and of types in unnamed namespaces of included files.
  target_compile_options(berth_options INTERFACE -Wno-array-bounds -Wno-stringop-overread -Wno-subobject-linkage)
  # Macros that a precompiled header looks at are the same in all files.
  target_compile_definitions(berth_options INTERFACE $<TARGET_PROPERTY:Boost::json,INTERFACE_COMPILE_DEFINITIONS>)
  add_library(berth_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  target_link_libraries(berth_pch PRIVATE berth_options berth_hardening spdlog::spdlog Boost::json)
  target_precompile_headers(berth_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
endif()
# berth_unity(TARGET PCH): its files in units with the precompiled header of the target PCH.
function(berth_unity target pch)
  if(BERTH_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${BERTH_UNITY_FILES})
    target_precompile_headers(${target} REUSE_FROM ${pch})
  endif()
endfunction()

# Code that no packet comes by is compiled with -O1, a fifth faster, and for AddressSanitizer without the checks for undefined
# behaviour, which are a third of the time that the headers of Boost take there.
add_library(berth_cold_options INTERFACE)
if(BERTH_SANITIZE MATCHES undefined)
  target_compile_options(berth_cold_options INTERFACE -fno-sanitize=undefined)
endif()
target_link_libraries(berth_cold_options INTERFACE berth_options)  # whose options come first
function(berth_cold target)
  target_link_libraries(${target} PRIVATE berth_cold_options)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

function(berth_library)
  cmake_parse_arguments(L "COLD" "NAME" "SRCS;DEPS" ${ARGN})
  add_library(berth_${L_NAME} STATIC ${L_SRCS})
  add_library(berth::${L_NAME} ALIAS berth_${L_NAME})
  target_link_libraries(berth_${L_NAME} PUBLIC berth_options ${L_DEPS} PRIVATE berth_hardening)
  if(L_COLD)
    berth_cold(berth_${L_NAME})
  endif()
  berth_unity(berth_${L_NAME} berth_pch)
endfunction()

# berth_proto(NAME … FILES …): generated C++ for .proto files, compiled without our warnings.
function(berth_proto)
  cmake_parse_arguments(P "" "NAME" "FILES" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  set(generated)
  foreach(f ${P_FILES})
    string(REGEX REPLACE "\\.proto$" "" stem ${f})
    add_custom_command(OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=${out} ${CMAKE_SOURCE_DIR}/${f}
      DEPENDS ${CMAKE_SOURCE_DIR}/${f} VERBATIM)
    list(APPEND generated ${out}/${stem}.pb.cc)
  endforeach()
  add_library(berth_${P_NAME} STATIC ${generated})
  add_library(berth::${P_NAME} ALIAS berth_${P_NAME})
  target_include_directories(berth_${P_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(berth_${P_NAME} PUBLIC protobuf::libprotobuf PRIVATE berth_hardening)
  target_compile_features(berth_${P_NAME} PUBLIC cxx_std_20)
  if(BERTH_SANITIZE)
    target_compile_options(berth_${P_NAME} PRIVATE -fsanitize=${BERTH_SANITIZE})
  endif()
endfunction()
