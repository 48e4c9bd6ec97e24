package api

import "net/http"

func (a *rest) laneRoutes() []route {
	return []route{
		{"/api/v1/lanes", []method{{"GET", []string{"tenant"}, a.getLanes}}},
		{"/api/v1/orders/tenants/{tenant}/{id}", []method{{"GET", nil, a.getOrder}, {"PUT", nil, a.putOrder}}},
	}
}

func (a *rest) getLanes(w http.ResponseWriter, r *http.Request) error {
	list, err := a.model.listLanes(r.FormValue("tenant"))
	if err != nil {
		return err
	}
	writeJSON(w, list)
	return nil
}

func (a *rest) getOrder(w http.ResponseWriter, r *http.Request) error {
	order, err := a.orders.get(r.Context(), r.PathValue("tenant"), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, order)
	return nil
}

func (a *rest) putOrder(w http.ResponseWriter, r *http.Request) error {
	var body OrderBody
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	order, err := a.orders.put(r.Context(), r.PathValue("tenant"), r.PathValue("id"), body)
	if err != nil {
		return err
	}
	writeJSON(w, order)
	return nil
}
