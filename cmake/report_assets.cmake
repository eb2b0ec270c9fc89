# The report page's parts, as constants of src/report/html_report.cc.
function(add_report_assets target)
  set(uplot ${PROJECT_SOURCE_DIR}/third_party/uplot)
  set(report ${PROJECT_SOURCE_DIR}/src/report)
  set(assets kAssetReportTemplate=${report}/report_template.html kAssetReportCss=${report}/report.css
    kAssetChartsJs=${report}/charts.js kAssetReportJs=${report}/report.js
    kAssetUplotCss=${uplot}/uPlot.min.css kAssetUplotJs=${uplot}/uPlot.iife.min.js)
  string(REGEX REPLACE "[A-Za-z]+=" "" asset_files "${assets}")
  add_custom_command(
    OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/generated/report/assets.h
    COMMAND ${CMAKE_COMMAND} -DOUT=${CMAKE_CURRENT_BINARY_DIR}/generated/report/assets.h "-DASSETS=${assets}"
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_assets.cmake
    DEPENDS ${asset_files} ${PROJECT_SOURCE_DIR}/cmake/embed_assets.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated/report/assets.h)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()
