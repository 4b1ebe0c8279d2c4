# evp-runtime: the device daemon. Small on purpose: unused functions are left out.
if(TARGET evp_runtime_modules)
  add_executable(evp-runtime ${CMAKE_CURRENT_LIST_DIR}/evp_runtime.cc ${CMAKE_CURRENT_LIST_DIR}/runtime_config.cc)
  target_link_libraries(evp-runtime PRIVATE evp_runtime evp_runtime_modules)
  target_link_options(evp-runtime PRIVATE -Wl,--gc-sections -Wl,--as-needed)
  install(TARGETS evp-runtime RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
evp_test(evp_runtime_config_test
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_config_test.cc ${CMAKE_CURRENT_LIST_DIR}/runtime_config.cc
  LIBRARIES evp_runtime)
