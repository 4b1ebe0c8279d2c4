# evp-runtime: the device daemon. Small on purpose: what is not used is left out.
add_executable(evp-runtime ${CMAKE_CURRENT_LIST_DIR}/evp_runtime.cc ${CMAKE_CURRENT_LIST_DIR}/runtime_config.cc)
target_link_libraries(evp-runtime PRIVATE evp_runtime evp_log_format)
evp_small(evp-runtime)
target_link_options(evp-runtime PRIVATE -Wl,--gc-sections -Wl,--as-needed)
if(NOT CMAKE_CROSSCOMPILING)
  # Relocations take a fortieth of it unless they are packed, which mold cannot do for glibc.
  target_link_options(evp-runtime PRIVATE "$<$<CONFIG:Release>:-fuse-ld=bfd;-Wl,-z,pack-relative-relocs>")
endif()
install(TARGETS evp-runtime RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
evp_test(evp_runtime_config_test
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_config_test.cc ${CMAKE_CURRENT_LIST_DIR}/runtime_config.cc
  LIBRARIES evp_runtime)
