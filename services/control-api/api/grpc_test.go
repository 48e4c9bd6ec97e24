package api_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/presence"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/apitest"
)

func dial(t *testing.T, s *apitest.Stage) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestTheSameOverGRPC(t *testing.T) {
	s := scene(t)
	conn := dial(t, s)
	client := controlv1.NewControlServiceClient(conn)

	list, err := client.ListStatus(t.Context(), &controlv1.ListStatusRequest{User: "100@hq"})
	if err != nil || len(list.Entries) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if e := list.Entries[0]; e.Shown != "dnd" || e.Upn != "anna@contoso.example" || e.Teams.GetActivity() != "InAMeeting" || len(e.Claims) != 2 || e.Claims[0].Until != nil || e.Since == nil {
		t.Errorf("status: %v", e)
	}
	why, err := client.Explain(t.Context(), &controlv1.ExplainRequest{User: "100@hq", At: timestamppb.New(s.Bus.Now().Add(-2 * time.Hour))})
	if err != nil || len(why.Explanations) != 1 || why.Explanations[0].Status.Shown != "available" || len(why.Explanations[0].Chain) != 5 {
		t.Errorf("explanation: %v, %v", why, err)
	}
	watch, err := client.Watch(t.Context(), &controlv1.WatchRequest{Tenant: "contoso"})
	if err != nil {
		t.Fatal(err)
	}
	// The watch begins some time after the call; changes come until one is seen.
	n := 3
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ; n++ {
			s.Publish(t, meeting(s, n, []presence.Status{presence.DND, presence.Available}[n%2]).Messages()...)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	c, err := watch.Recv()
	close(stop)
	<-done
	if err != nil || c.Result != "applied" || c.LatencyMs != 34 || c.Status.GetName() != "Anna Albers" || c.At == nil {
		t.Errorf("change: %v, %v", c, err)
	}
}

func TestGRPCErrorsHaveCodesAndSayHowToFix(t *testing.T) {
	s := scene(t)
	client := controlv1.NewControlServiceClient(dial(t, s))
	for _, c := range []struct {
		user string
		want codes.Code
	}{{"zoe", codes.NotFound}, {"dora", codes.NotFound}, {"anna", codes.FailedPrecondition}} {
		_, err := client.ListStatus(t.Context(), &controlv1.ListStatusRequest{User: c.user})
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", c.user, err, c.want)
		}
	}
	for _, r := range []*controlv1.ExplainRequest{{}, {User: "ben", At: &timestamppb.Timestamp{Nanos: -1}}} {
		if _, err := client.Explain(t.Context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v, want invalid argument", r, err)
		}
	}
}

func TestGRPCHasHealthAndReflection(t *testing.T) {
	s := scene(t)
	conn := dial(t, s)
	bustest.Eventually(t, 5*time.Second, func() string {
		answer, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil || answer.Status != healthv1.HealthCheckResponse_SERVING {
			return answer.String()
		}
		return ""
	})
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "offhook.control.v1.ControlService"}}); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || answer.GetFileDescriptorResponse() == nil {
		t.Fatalf("reflection does not know the service: %v, %v", answer, err)
	}
}
