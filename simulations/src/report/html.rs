//! Page. Not here: text.
pub fn html(report: &super::Report) -> String {
    format!("<pre>{report:#?}</pre>")
}
