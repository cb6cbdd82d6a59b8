// Package v1alpha1 is the API of dbt-operator: the kinds DbtProject (what to run, on what, as whom) and DbtRun (one
// run), with their validation rules, defaults, condition types, reasons and label keys. It knows the shape of the
// objects and nothing of how they are carried out: it imports no client and nothing from internal/.
//
// +kubebuilder:object:generate=true
// +groupName=dbtoperator.dev
package v1alpha1
