package dbtschedule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/conditions"
	"github.com/dbt-operator/dbt-operator/internal/text"
)

// authenticated is a group that everybody has who was stamped, also where it was left out for want of room.
const authenticated = "system:authenticated"

// gatherAuthority asks the API server whether the schedule's author may run what it runs: before runs are made, and once
// for each generation of the spec, so that the condition speaks of the author there is.
func (r *Reconciler) gatherAuthority(ctx context.Context, seen *observed) error {
	review := reviewOf(seen.schedule)
	if review == nil {
		seen.authority = noAuthor()
		return nil
	}
	if !decide(seen).fires() && seen.known() != nil {
		return nil
	}
	asked := *review.Spec.ResourceAttributes
	allowed, err := r.ask(ctx, review)
	if err != nil {
		return fmt.Errorf("asking whether the author of DbtSchedule %s may %s %s %s: %w", seen.key(), asked.Verb, asked.Resource, asked.Name, err)
	}
	seen.authority = authority(seen.schedule, asked, allowed)
	return nil
}

const (
	// answerLife is how long an answer of the API server is one to the same question: schedules of one author and project
	// that tick together ask once.
	answerLife = time.Second
	// mostAnswers bounds how many are kept.
	mostAnswers = 1024
)

// ask returns the API server's answer to a question about a right, or the one that it gave a moment ago.
func (r *Reconciler) ask(ctx context.Context, review *authorizationv1.SubjectAccessReview) (bool, error) {
	question, err := json.Marshal(review.Spec)
	if err != nil {
		return false, err
	}
	if answer, ok := r.answers.Get(string(question)); ok {
		return answer.(bool), nil
	}
	if err := r.client.Create(ctx, review); err != nil {
		return false, err
	}
	if s := review.Status; !s.Allowed && s.EvaluationError != "" {
		ctrl.LoggerFrom(ctx).Info("the author's right was found missing with an error", "error", s.EvaluationError)
	}
	r.answers.Add(string(question), review.Status.Allowed, answerLife)
	return review.Status.Allowed, nil
}

// reviewOf returns what is to be asked about the schedule's author, nil when it has none.
func reviewOf(s *v1alpha1.DbtSchedule) *authorizationv1.SubjectAccessReview {
	author := s.Spec.RequestedBy
	if author == nil {
		return nil
	}
	groups := slices.Clone(author.Groups)
	if !slices.Contains(groups, authenticated) {
		groups = append(groups, authenticated)
	}
	needs := &authorizationv1.ResourceAttributes{Namespace: s.Namespace, Verb: "create", Resource: "pods"}
	if ref := s.Spec.RunTemplate.Spec.ProjectRef; ref != nil {
		needs = &authorizationv1.ResourceAttributes{
			Namespace: s.Namespace, Verb: "use", Group: v1alpha1.GroupVersion.Group, Resource: "dbtprojects", Name: ref.Name,
		}
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: author.Username, UID: author.UID, Groups: groups, ResourceAttributes: needs,
	}}
}

// authority puts the answer into words.
func authority(s *v1alpha1.DbtSchedule, asked authorizationv1.ResourceAttributes, allowed bool) *conditions.Truth {
	who := fmt.Sprintf("User %q, the schedule's author,", requester(s.Spec.RequestedBy))
	right := fmt.Sprintf("the verb %q on %s", asked.Verb, asked.Resource)
	what := "an inline project"
	if asked.Name != "" {
		right = fmt.Sprintf("the verb %q on %s.%s %q", asked.Verb, asked.Resource, asked.Group, asked.Name)
		what = fmt.Sprintf("DbtProject %q", asked.Name)
	}
	if allowed {
		return &conditions.Truth{
			Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllowed, Message: text.Sentence(who + " may run " + what),
		}
	}
	message := fmt.Sprintf("%s may not run %s any more, so that ticks have no run: that needs %s in namespace %q; grant it, or have somebody who has it change the schedule", who, what, right, s.Namespace)
	if n := s.Spec.RequestedBy.OmittedGroups; n != nil {
		message += fmt.Sprintf("; %s of the author could not be recorded, so grant it to the user or to a group of spec.requestedBy", text.Count(int(*n), "group"))
	}
	return &conditions.Truth{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonDenied, Message: text.Sentence(message)}
}

// noAuthor is what there is to say of a schedule that names nobody: the API server checked who wrote it, and that is all.
func noAuthor() *conditions.Truth {
	return &conditions.Truth{
		Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNoAuthor,
		Message: "spec.requestedBy is not set, so runs are made without a requester and nobody's right is checked before them: the next change of the spec sets it where the cluster stamps authors, and elsewhere put your own name there.",
	}
}

// known returns what the status says of the author of this generation; nil when it says nothing.
func (o *observed) known() *metav1.Condition {
	c := meta.FindStatusCondition(o.schedule.Status.Conditions, v1alpha1.ConditionAuthorized)
	if c == nil || c.ObservedGeneration != o.schedule.Generation || c.Reason == v1alpha1.ReasonNoAuthor {
		return nil
	}
	return c
}

// news reports whether the answer about the author is another than the status says.
func (o *observed) news() bool {
	if o.authority == nil {
		return false
	}
	c := meta.FindStatusCondition(o.schedule.Status.Conditions, v1alpha1.ConditionAuthorized)
	return c == nil || c.Status != o.authority.Status || c.Reason != o.authority.Reason
}

// denied reports whether the author is known not to have the right.
func (o *observed) denied() bool {
	if o.authority != nil {
		return o.authority.Status == metav1.ConditionFalse
	}
	c := o.known()
	return c != nil && c.Status == metav1.ConditionFalse
}

// requester is a user's name, cut to what fits into a message.
func requester(who *v1alpha1.Requester) string {
	if who == nil {
		return ""
	}
	return text.Cut(who.Username, 256)
}
