// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json.h>
#include <detente/core/json_text.h>
#include <detente/report/html_page.h>
#include <detente/serve/pages.h>

namespace detente::serve {
namespace {

// A small box in the corner that says how live the page is. Its colours are the system's, so that it can
// be read on a page of any theme.
constexpr const char* kBox = R"js(
var box=document.createElement("div");
box.style.cssText="position:fixed;right:12px;bottom:12px;z-index:9;padding:4px 12px;border-radius:99px;border:1px solid #8888;background:Canvas;color:CanvasText;font:13px system-ui,sans-serif";
document.body.appendChild(box);
function tell(text,link){box.textContent=text;if(link){box.appendChild(document.createTextNode(" · "));
  var a=document.createElement("a");a.href="/";a.textContent="all runs";box.appendChild(a)}}
function get(address,json){return fetch(address,{cache:"no-store",credentials:"omit"}).then(function(r){
  if(!r.ok)throw r.status;return json?r.json():r.text()})}
)js";

constexpr const char* kLiveScript = R"js(
var version=live.version;
function renew(html){
  var next=new DOMParser().parseFromString(html,"text/html"),main=next.querySelector("main");
  if(!main)return;
  var x=scrollX,y=scrollY,opened=[],scrolled=[];
  document.querySelectorAll("main details").forEach(function(d){opened.push(d.open)});
  document.querySelectorAll("main .scroll").forEach(function(d){scrolled.push([d.scrollLeft,d.scrollTop])});
  document.querySelector("main").replaceWith(document.adoptNode(main));
  document.title=next.title;
  document.querySelectorAll("main details").forEach(function(d,i){if(i<opened.length)d.open=opened[i]});
  document.querySelectorAll("main .scroll").forEach(function(d,i){
    if(i<scrolled.length){d.scrollLeft=scrolled[i][0];d.scrollTop=scrolled[i][1]}});
  next.querySelectorAll("body>script:not([data-live])").forEach(function(old){
    var s=document.createElement("script");s.textContent=old.textContent;document.body.appendChild(s);s.remove()});
  scrollTo(x,y);
}
function poll(){
  if(document.hidden){setTimeout(poll,1000);return}
  get(live.api,true).then(function(now){
    var s=now.status;
    tell(s.state+" · "+(s.runs===undefined?"step "+s.step:s.ended+" of "+s.runs+" runs"),true);
    var wait=1000*now.refresh*(now.status.state==="running"?1:5);
    if(now.version===version){setTimeout(poll,wait);return}
    return get(location.pathname,false).then(function(html){
      renew(html);var found=html.match(/data-live data-version="([^"]*)"/);if(found)version=found[1];
      setTimeout(poll,wait)})
  }).catch(function(reason){
    tell(reason===404?"the folder is gone":"no answer from detente serve",true);setTimeout(poll,5000)})
}
tell("live",true);setTimeout(poll,1000*live.refresh);
)js";

constexpr const char* kIndexScript = R"js(
function cell(row,text,css){var c=document.createElement("td");c.textContent=text;if(css)c.className=css;row.appendChild(c);return c}
function number(v){if(v===null||v===undefined)return "–";var a=Math.abs(v);return a!==0&&(a<1e-3||a>=1e5)?v.toExponential(2):String(+v.toPrecision(4))}
function span(s){if(s===null)return "–";if(s<60)return Math.round(s)+" s";if(s<3600)return Math.floor(s/60)+" min "+Math.round(s%60)+" s";
  return Math.floor(s/3600)+" h "+Math.round(s%3600/60)+" min"}
function some(list,most){return list.slice(0,most).join(", ")+(list.length>most?", …":"")}
function studies(list){
  var place=document.getElementById("studies");place.textContent="";
  list.forEach(function(s){
    var p=document.createElement("p"),a=document.createElement("a");p.className="lead";
    a.href="/study/"+s.path;a.textContent=list.length>1||s.path?"Study "+s.name:"The study's page";p.appendChild(a);
    p.appendChild(document.createTextNode(s.runs?": "+s.state+", "+s.ended+" of "+s.runs+" runs"+(s.failed?", "+s.failed+" failed":""):", as it was last made"));
    place.appendChild(p)});
}
function show(all){
  studies(all.studies);
  var place=document.getElementById("runs"),old=place.querySelector(".scroll"),at=old?[old.scrollLeft,old.scrollTop]:[0,0];
  var body=document.createElement("tbody"),count={};
  all.runs.forEach(function(r){
    var row=document.createElement("tr"),first=cell(row,""),a=document.createElement("a");
    count[r.state]=(count[r.state]||0)+1;
    a.href="/run/"+r.path;a.textContent=r.name;first.appendChild(a);
    cell(row,r.method);
    cell(row,r.state).title=r.failure;
    cell(row,r.epoch?r.epoch+(r.epochs?" / "+r.epochs:""):"–","r");
    cell(row,r.step||"–","r");
    cell(row,some(Object.keys(r.losses).map(function(k){return k+" "+number(r.losses[k])}),2)||"–");
    cell(row,some(Object.keys(r.best).map(function(k){var m=Object.keys(r.best[k])[0];
      return m===undefined?k:k+" "+m+" "+number(r.best[k][m])}),2)||"–");
    var p=cell(row,"");
    if(r.progress===null)p.textContent="–";else{var bar=document.createElement("progress");bar.max=1;bar.value=r.progress;bar.style.width="80px";
      bar.title=Math.round(100*r.progress)+" %";p.appendChild(bar)}
    cell(row,r.state==="running"?(r.seconds_left===null?"–":span(r.seconds_left)+" left"):span(r.seconds),"r");
    body.appendChild(row)});
  var table=document.createElement("table"),head=document.createElement("tr"),top=document.createElement("thead");
  ["run","method","state","epoch","step","last losses","best so far","progress","time"].forEach(function(t,i){
    var h=document.createElement("th");h.textContent=t;if(i===3||i===4||i===8)h.className="r";head.appendChild(h)});
  top.appendChild(head);table.appendChild(top);table.appendChild(body);
  var frame=document.createElement("div");frame.className="scroll";frame.style.maxHeight="none";frame.appendChild(table);
  place.textContent="";
  if(all.runs.length)place.appendChild(frame);
  else{var none=document.createElement("p");none.textContent="No runs here yet.";place.appendChild(none)}
  frame.scrollLeft=at[0];frame.scrollTop=at[1];
  tell(Object.keys(count).map(function(k){return count[k]+" "+k}).join(", ")+(all.more?"; there are more runs than are shown":""));
}
function poll(){
  if(document.hidden){setTimeout(poll,1000);return}
  get("/api/runs",true).then(function(all){show(all);setTimeout(poll,1000*all.refresh)}).catch(function(){
    tell("no answer from detente serve");setTimeout(poll,5000)})
}
poll();
)js";

// The last one: what stands before it is the page's own.
std::string before_end_of_body(std::string page, const std::string& added) {
  const std::size_t at = page.rfind("</body>");
  return at == std::string::npos ? page + added : page.insert(at, added);
}

// JSON within a script cannot end it.
std::string script_text(const Json& json) {
  std::string out;
  for (const char c : json_text(json, -1))
    out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

std::string script(const std::string& attributes, const std::string& code) {
  return "<script" + attributes + ">(function(){\"use strict\";" + kBox + code + "})();</script>\n";
}

}  // namespace

std::string with_live_script(std::string page,
                             const std::string& api,
                             const std::string& version,
                             double refresh) {
  const Json live{{"api", api}, {"version", version}, {"refresh", refresh}};
  return before_end_of_body(
      std::move(page),
      script(" data-live data-version=\"" + report::escape_xml(version) + "\"",
             "var live=" + script_text(live) + ";" + kLiveScript));
}

std::string index_page(const std::string& folder, bool has_comparison) {
  report::HtmlPage page("Runs · Detente");
  page.header("Detente", folder, {});
  std::string html = page.finish("Served by detente serve.");
  std::string middle;
  if (has_comparison) {
    middle +=
        "<p class=\"lead\"><a href=\"/files/comparison.html\">The comparison of the runs</a>, as "
        "<code>detente compare</code> made it last.</p>\n";
  }
  middle += "<div id=\"studies\"></div>\n";
  middle +=
      "<h2>Runs</h2>\n<div id=\"runs\"><noscript>This list needs JavaScript; /api/runs has it as "
      "JSON.</noscript></div>\n";
  if (const std::size_t at = html.rfind("<footer"); at != std::string::npos)
    html.insert(at, middle);
  return before_end_of_body(std::move(html), script("", kIndexScript));
}

std::string message_page(const std::string& title, const std::string& text) {
  report::HtmlPage page(title + " · Detente");
  page.header("detente serve", title, {});
  page.paragraph(text);
  return page.finish("Served by detente serve.");
}

}  // namespace detente::serve
