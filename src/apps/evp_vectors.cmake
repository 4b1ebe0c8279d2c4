# evp-vectors: signs published test vectors with the product's own signers.
add_executable(evp-vectors ${CMAKE_SOURCE_DIR}/src/apps/evp_vectors.cc)
target_link_libraries(evp-vectors PRIVATE evp_auth evp_io Boost::json Boost::url)
